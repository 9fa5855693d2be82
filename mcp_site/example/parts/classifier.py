"""Tell male from female penguins of one island by their measurements, and count how often that is right."""

from __future__ import annotations

import math
import random
from typing import Any

MEASURES = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")

Bird = dict[str, Any]
Scales = dict[str, dict[str, tuple[float, float]]]


def main(
    island: str, columns: list[dict[str, Any]], rows: list[list[Any]], neighbours: int = 7, folds: int = 5
) -> dict[str, Any]:
    """Judge each bird by the nearest birds of the other folds, so that none is judged by itself."""
    names = [column["name"] for column in columns]
    birds = [bird for bird in (dict(zip(names, row, strict=True)) for row in rows) if bird["island"] == island]
    whole = [bird for bird in birds if all(bird[name] is not None for name in (*MEASURES, "sex"))]
    if len(whole) <= 2 * neighbours:
        raise ValueError(
            f"{island!r} has {len(whole)} rows with every measurement, too few for {neighbours} neighbours"
        )
    print(f"{island}: {len(birds)} birds, {len(whole)} with every measurement")
    random.Random(7).shuffle(whole)

    right = 0
    for fold in range(folds):
        test = whole[fold::folds]
        train = [bird for number, bird in enumerate(whole) if number % folds != fold]
        right += count_right(train, test, neighbours)
        print(f"::progress {(fold + 1) / folds:.2f} fold {fold + 1} of {folds}")
    accuracy = right / len(whole)
    print(f"::metric accuracy={accuracy:.4f}")

    sexes = [bird["sex"] for bird in whole]
    return {
        "island": island,
        "species": sorted({bird["species"] for bird in whole}),
        "rows": len(birds),
        "used": len(whole),
        "right": right,
        "accuracy": round(accuracy, 4),
        # What always naming the more frequent sex would reach.
        "baseline": round(max(sexes.count("male"), sexes.count("female")) / len(sexes), 4),
        "neighbours": neighbours,
        "folds": folds,
    }


def count_right(train: list[Bird], test: list[Bird], neighbours: int) -> int:
    """Return how many of the test birds the training birds judge right."""
    # Within a species: a small Gentoo is larger than any Adelie. The scales come from the training birds alone.
    scales = {species: scale(train, species) for species in {bird["species"] for bird in train}}
    learned = [(point(bird, scales), str(bird["sex"])) for bird in train]
    return sum(vote(point(bird, scales), learned, neighbours) == bird["sex"] for bird in test)


def scale(birds: list[Bird], species: str) -> dict[str, tuple[float, float]]:
    """Return the mean and the spread of each measure among the birds of a species."""
    found = {}
    for name in MEASURES:
        values = [bird[name] for bird in birds if bird["species"] == species]
        mean = sum(values) / len(values)
        found[name] = mean, math.sqrt(sum((value - mean) ** 2 for value in values) / len(values)) or 1.0
    return found


def point(bird: Bird, scales: Scales) -> list[float]:
    """Return the bird's measures in spreads from the mean of its species."""
    return [(bird[name] - mean) / spread for name, (mean, spread) in scales[bird["species"]].items()]


def vote(wanted: list[float], learned: list[tuple[list[float], str]], neighbours: int) -> str:
    """Return the sex of most of the nearest birds."""
    nearest = sorted(learned, key=lambda known: math.dist(wanted, known[0]))[:neighbours]
    votes = [sex for _, sex in nearest]
    return max(sorted(set(votes)), key=votes.count)
