"""The pages of runs: the list, and one run with its graph, steps, log and result, in parts that htmx fetches again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.db.models import Case, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from accounts import access
from accounts.mixins import PageView
from mcp_site.core import clock
from workflows import outputs, services, stats
from workflows.forms import RunFilterForm
from workflows.models import Approval, Artifact, LogChunk, Run, StepRun
from workflows.states import APPROVAL_KIND, HANDLER_KEY, RUN_TERMINAL
from workflows.views import drawing
from workflows.views.approvals import Question, question_of

PAGE_SIZE = 50
LOG_CHUNKS = 400
LOG_LINES = 1000
MAX_ITEMS = 100
MAX_ARTIFACTS = 100
_BAD = ("failed", "timed_out", "cancelled")


def narrowed(found: Any, chosen: dict[str, Any], person: Any) -> Any:
    """Return the runs that fit a filter form."""
    state = chosen.get("state")
    if state == "open":
        found = found.exclude(state__in=RUN_TERMINAL)
    elif state == "bad":
        found = found.filter(state__in=_BAD)
    elif state:
        found = found.filter(state=state)
    fields = {"workflow": "workflow__slug", "definition": "definition__slug", "trigger": "trigger_kind"}
    found = found.filter(**{field: chosen[name] for name, field in fields.items() if name in chosen})
    if chosen.get("mine"):
        found = found.filter(started_by=person)
    if text := chosen.get("search"):
        number = text.removeprefix("#")
        if number.isascii() and number.isdecimal() and len(number) < 18:
            return found.filter(pk=int(number))
        found = found.filter(reason__icontains=text) | found.filter(workflow__slug__icontains=text)
    return found


class RunList(PageView):
    """Runs, newest first. Pages begin before a number: a list that grows at its top has no stable count."""

    section = "runs"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, narrowed by the query."""
        form = RunFilterForm(request.GET)
        found = narrowed(Run.objects.visible_to(self.person), form.chosen, self.person).for_api()
        found = found.defer("output", "inputs", "version__graph", "graph", "pins")
        if before := form.chosen.get("before"):
            found = found.filter(pk__lt=before)
        runs = list(found.order_by("-id")[: PAGE_SIZE + 1])
        more = len(runs) > PAGE_SIZE
        runs = runs[:PAGE_SIZE]
        context = {"form": form, "runs": runs, "older": runs[-1].pk if more else None, "before": before}
        return self.page_or_part("workflows/run_list.html", "workflows/partials/run_rows.html", context)


class StepForm(forms.Form):
    """`?step=&index=&search=`: which step of a run is looked at, and what is searched for in its log."""

    step = forms.RegexField(regex=r"^[a-z][a-z0-9_]{0,62}$", required=False)
    index = forms.IntegerField(required=False, min_value=0, max_value=10**6)
    search = forms.CharField(required=False, max_length=200)


class _OfRun(PageView):
    """What the page of a run and its parts share: each thing is read once, when it is first asked for."""

    section = "runs"
    run: Run

    def find(self, uid: UUID) -> None:
        """Load the run. Raises Http404 for what the person may not see."""
        found = Run.objects.visible_to(self.person).select_related(
            "workflow", "version", "definition", "started_by", "rerun_of"
        )
        self.run = get_object_or_404(found.defer("output"), uid=uid)

    @cached_property
    def asked(self) -> dict[str, Any]:
        """Return what the query says, without what it says wrongly."""
        form = StepForm(self.request.GET)
        form.is_valid()
        return {name: form.cleaned_data.get(name) for name in form.fields}

    @cached_property
    def steps(self) -> list[StepRun]:
        """Return the steps of the graph."""
        return list(StepRun.objects.graph_steps().filter(run=self.run).defer("output", "item").order_by("n"))

    @cached_property
    def progress(self) -> dict[int, dict[str, Any]]:
        """Return what running steps said last."""
        return stats.progress_of(self.run, [step.n for step in self.steps if step.state == "running"])

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Return, by step, the definition and the version that it was pinned to."""
        document = self.run.document()
        found = {
            step["key"]: step.get("definition") or step.get("workflow") or APPROVAL_KIND
            for step in document.get("steps", [])
        }
        if handler := document.get("on_failure"):
            found[HANDLER_KEY] = handler["definition"]
        for key, text in found.items():
            slug = str(text).partition("@")[0]
            number = self.run.pins.get(key, {}).get("number")
            found[key] = f"{slug}@{number}" if number else slug
        return found

    def header(self) -> dict[str, Any]:
        """Return what the head of the page shows."""
        now = clock.now()
        area = "workflow" if self.run.workflow_id else "definition"
        may = services.may_control(self.run, self.person)
        done = [step for step in self.steps if step.finished_at is not None]
        going = [step for step in self.steps if step.state in ("running", "retrying", "waiting")]
        return {
            "parent": self._parent(),
            "steps": self.steps,
            "done": len(done),
            "going": [(step, drawing.note_of(step, self.progress.get(step.n), now)) for step in going[:2]],
            "attempts": sum(step.attempt for step in self.steps),
            "elapsed": (self.run.finished_at or now) - (self.run.started_at or self.run.created_at),
            "queued": (self.run.started_at or now) - self.run.created_at,
            "may_cancel": may and not self.run.is_terminal and self.run.state != "cancelling",
            "may_pause": may and self.run.state in ("queued", "running"),
            "may_resume": may and self.run.state == "paused",
            "may_run": access.can(self.person, f"{area}.run", self.run.subject),
        }

    def _parent(self) -> StepRun | None:
        """Return the step that waits for this run, if the person may see its run."""
        if self.run.parent_step_id is None:
            return None
        seen = Run.objects.visible_to(self.person).values("pk")
        return StepRun.objects.filter(pk=self.run.parent_step_id, run__in=seen).select_related("run").first()

    def graph(self) -> dict[str, Any]:
        """Return the drawing."""
        chosen = self.asked["step"] or ""
        return {"picture": drawing.picture_of_run(self.steps, self.progress, chosen), "sizes": drawing.SIZES}

    def table(self) -> dict[str, Any]:
        """Return the steps on their time axis."""
        tries = stats.attempts_of(self.run)
        axis, rows = drawing.timeline(self.run, self.steps, tries, self.progress, self.definitions)
        now = axis.at(clock.now()) if not self.run.is_terminal else None
        return {"axis": axis, "rows": rows, "now": now, "chosen": self.asked["step"]}

    def log(self) -> dict[str, Any]:
        """Return the last lines of the log, of the chosen step where one is chosen."""
        chunks = LogChunk.objects.filter(run=self.run).exclude(stream="token")
        if self.asked["step"]:
            chunks = chunks.filter(step=self.asked["step"])
        if self.asked["search"]:
            chunks = chunks.filter(text__icontains=self.asked["search"])
        newest = list(chunks.order_by("-at", "-n", "-attempt", "-number")[:LOG_CHUNKS])[::-1]
        lines = [(chunk, line) for chunk in newest for line in chunk.text.rstrip("\n").split("\n")]
        if wanted := (self.asked["search"] or "").lower():
            lines = [(chunk, line) for chunk, line in lines if wanted in line.lower()]
        return {
            "lines": lines[-LOG_LINES:],
            "is_cut": len(newest) == LOG_CHUNKS or len(lines) > LOG_LINES,
            "keys": [step.key for step in self.steps],
            "asked": self.asked,
        }

    def result(self) -> dict[str, Any]:
        """Return inputs, output and files."""
        output, elsewhere = outputs.output_of_run(self.run)
        files = list(Artifact.objects.filter(run=self.run).order_by("id")[:MAX_ARTIFACTS])
        return {
            "output": output,
            "elsewhere": elsewhere,
            "files": files,
            "pictures": [one for one in files if one.media_type in ("image/png", "image/jpeg", "image/webp")][:6],
        }

    def step(self) -> dict[str, Any]:
        """Return one step with its output, its tries, and the items of a mapped one; nothing if none is chosen."""
        if not self.asked["step"]:
            return {"step": None}
        index = self.asked["index"]
        where = {"index__isnull": True} if index is None else {"index": index}
        found = StepRun.objects.shown().filter(run=self.run, key=self.asked["step"], **where).first()
        if found is None:
            raise Http404
        items = StepRun.objects.filter(run=self.run, key=found.key, index__isnull=False).defer("output", "item")
        output, elsewhere = outputs.output_of_step(found)
        return {
            "step": found,
            "definition": self.definitions.get(found.key, ""),
            "output": output,
            "elsewhere": elsewhere,
            "tries": outputs.tries_of_step(found),
            "question": self._question(found),
            "child": Run.objects.visible_to(self.person).filter(parent_step=found).for_api().first(),
            # What went wrong first: of thousands of items those are the ones to look at.
            "items": list(_bad_first(items)[:MAX_ITEMS]) if found.first_item is not None else [],
        }

    def _question(self, step: StepRun) -> Question | None:
        """Return what an approval step asks of people."""
        if step.kind != APPROVAL_KIND:
            return None
        approval = Approval.objects.for_api().filter(step=step).first()
        return question_of(approval, self.person) if approval is not None else None


def _bad_first(items: QuerySet[StepRun]) -> QuerySet[StepRun]:
    ended_badly = Case(When(state__in=("failed", "crashed", "timed_out"), then=0), default=1)
    return items.order_by(ended_badly, "index")


class RunDetail(_OfRun):
    """One run."""

    def get(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Show it; while it goes on, the page follows its events."""
        self.find(uid)
        step = self.step()
        context = {"run": self.run, "chosen_step": step, **self.header(), **self.graph(), **self.table(), **self.log()}
        return self.page("workflows/run_detail.html", {**context, "result": self.result()})


class RunPart(_OfRun):
    """One part of the page, as it is now."""

    parts: ClassVar[dict[str, tuple[str, Callable[[_OfRun], dict[str, Any]]]]] = {
        "header": ("run_header", _OfRun.header),
        "graph": ("graph", _OfRun.graph),
        "steps": ("step_table", _OfRun.table),
        "log": ("log", _OfRun.log),
        "result": ("result", lambda self: {"result": self.result()}),
        "step": ("step", lambda self: {"chosen_step": self.step()}),
    }

    def get(self, request: HttpRequest, uid: UUID, name: str) -> HttpResponse:
        """Render the part called `name`."""
        if name not in self.parts:
            raise Http404
        self.find(uid)
        template, read = self.parts[name]
        return self.page(f"workflows/partials/{template}.html", {"run": self.run, **read(self)})


class _RunAct(_OfRun):
    """One thing done to a run from its page; it goes back there."""

    act: Callable[..., Run]

    def post(self, request: HttpRequest, uid: UUID) -> HttpResponse:
        """Do it and go back to the page, which says what could not be done."""
        self.find(uid)
        with self.saying():
            type(self).act(run=self.run, by=self.person)
        return redirect(self.run)


class RunCancel(_RunAct):
    """Cancelling a run."""

    act = services.cancel_run


class RunPause(_RunAct):
    """Pausing a run."""

    act = services.pause_run


class RunResume(_RunAct):
    """Letting a paused run go on."""

    act = services.resume_run
