"""How graphs are laid out."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from workflows.graph.layout import BOX_HEIGHT, BOX_WIDTH, Drawing, Node, layout


def random_graph(seed: int, size: int) -> list[Node]:
    dice = random.Random(seed)
    keys = [f"s{number}" for number in range(size)]
    return [
        Node(key, tuple(dice.sample(keys[:place], dice.randint(0, min(place, 3))))) for place, key in enumerate(keys)
    ]


@pytest.fixture(params=[(seed, 5 + seed * 3) for seed in range(12)], ids=str)
def drawn(request: pytest.FixtureRequest) -> Drawing:
    return layout(random_graph(*request.param))


def test_boxes_do_not_overlap_and_lie_inside(drawn: Drawing) -> None:
    for one, other in itertools.combinations(drawn.nodes, 2):
        assert abs(one.x - other.x) >= BOX_WIDTH or abs(one.y - other.y) >= BOX_HEIGHT
    for box in drawn.nodes:
        assert 0 <= box.x <= drawn.width - BOX_WIDTH
        assert 0 <= box.y <= drawn.height - BOX_HEIGHT


def test_every_edge_goes_from_left_to_right_and_meets_its_boxes(drawn: Drawing) -> None:
    at = {box.key: box for box in drawn.nodes}
    for edge in drawn.edges:
        source, target = at[edge.source], at[edge.target]
        assert source.x + BOX_WIDTH <= target.x
        numbers = [float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", edge.path)]
        assert numbers[:2] == [source.x + BOX_WIDTH, source.y + BOX_HEIGHT / 2]
        end = target.x if edge.path.rpartition("C")[2].count(" ") < 5 or "H" in edge.path.rpartition("C")[2] else None
        assert numbers[-1] == (end if end is not None else target.y + BOX_HEIGHT / 2)


def test_long_edges_run_through_no_box(drawn: Drawing) -> None:
    """Level pieces of a line lie inside columns: there they may meet no box but their own ends."""
    for edge in drawn.edges:
        y = float(re.findall(r"M\S+ (\S+?)[HC]", edge.path)[0])
        for command, text in re.findall(r"([HC])([^HC]+)", edge.path):
            values = [float(value) for value in text.split()]
            if command == "C":
                y = values[-1]
                continue
            for box in drawn.nodes:
                if box.key not in (edge.source, edge.target):
                    inside = box.x < values[0] <= box.x + BOX_WIDTH and box.y < y < box.y + BOX_HEIGHT
                    assert not inside, (edge, box)


def test_the_same_graph_is_always_drawn_the_same() -> None:
    assert layout(random_graph(3, 40)) == layout(random_graph(3, 40))


def test_a_diamond_is_symmetrical() -> None:
    drawn = layout([Node("a"), Node("b", ("a",)), Node("c", ("a",)), Node("d", ("b", "c"))])
    at = {box.key: box for box in drawn.nodes}
    assert at["a"].y == at["d"].y == (at["b"].y + at["c"].y) / 2
    assert at["b"].x == at["c"].x


def test_an_empty_graph_a_cycle_and_unknown_parents_do_no_harm() -> None:
    assert layout([]).nodes == ()
    assert len(layout([Node("a", ("b",)), Node("b", ("a",))]).nodes) == 2
    assert layout([Node("a", ("gone",))]).edges == ()


def test_a_thousand_steps_all_have_a_place() -> None:
    assert len(layout(random_graph(1, 1000)).nodes) == 1000
