"""The order of samples: complete, fixed by (seed, epoch), and resumable, also under DataLoader and accelerate."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, prepare_data_loader
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, Dataset

from sever.config import PseudoSettings, SamplingSettings
from sever.data.rounds import Rounds
from sever.data.samplers import (
    PASSES_APART,
    EpochSampler,
    MixedSampler,
    OrderSampler,
    SampleKey,
    Strata,
    make_sampler,
    mix_in_words,
    plan_mix,
    pseudo_a_batch,
)
from sever.errors import InputError


class Keys(Dataset[torch.Tensor]):
    """Gives back the key it was asked for."""

    def __getitem__(self, key: SampleKey) -> torch.Tensor:
        return torch.tensor([key.epoch, key.row])


# Rows 0-5 show class 1, rows 4-7 class 2, rows 8 and 9 class 3, rows 10-19 are clean.
HAS_CLASS = np.zeros((20, 3), bool)
HAS_CLASS[0:6, 0] = HAS_CLASS[4:8, 1] = HAS_CLASS[8:10, 2] = True


def pseudo_settings(share: float = 0.25, keep: float = 0.6) -> PseudoSettings:
    return PseudoSettings(labels=Path("pseudo.csv"), images=Path("images"), share=share, keep=keep)


def mixed(share: float = 0.25, keep: float = 0.6, labelled: int = 20, pseudo: int = 10, batch: int = 4) -> OrderSampler:
    """Labelled rows 0..labelled-1, pseudo-labelled ones after them."""
    settings = pseudo_settings(share, keep)
    return make_sampler(SamplingSettings(), settings, np.ones((labelled, 1), bool), pseudo, batch, seed=3)


def batches_of(sampler: OrderSampler, epoch: int, batch: int) -> list[list[int]]:
    sampler.set_position(epoch)
    rows = [row for _, row in sampler]
    assert len(rows) % batch == 0
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


def order(seed: int, epoch: int, skip: int = 0, rows: int = 20, shuffle: bool = True) -> list[SampleKey]:
    sampler = EpochSampler(rows, seed, shuffle)
    sampler.set_position(epoch, skip)
    assert len(sampler) == rows - skip
    return list(sampler)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 2**63), st.integers(0, 1000), st.booleans())
def test_every_row_once_an_epoch(rows: int, seed: int, epoch: int, shuffle: bool) -> None:
    keys = order(seed, epoch, rows=rows, shuffle=shuffle)
    assert sorted(row for _, row in keys) == list(range(rows))
    assert {at for at, _ in keys} <= {epoch}


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 80), st.integers(1, 6), st.integers(0, 9))
def test_epochs_of_another_length_go_on_where_the_last_one_stopped(
    rows: int, images: int, epochs: int, seed: int
) -> None:
    sampler = make_sampler(SamplingSettings(epoch_images=images), None, np.ones((rows, 1), bool), 0, 4, seed)
    keys = []
    for epoch in range(epochs):
        sampler.set_position(epoch)
        assert len(sampler) == images
        keys += list(sampler)
    counts = Counter(row for _, row in keys)
    assert max(counts.values()) - min(counts.get(row, 0) for row in range(rows)) <= 1
    assert len(set(keys)) == len(keys)  # no image twice with the same random changes


def test_an_epoch_as_long_as_the_data_is_the_usual_one() -> None:
    usual, said = (
        make_sampler(SamplingSettings(epoch_images=images), None, HAS_CLASS, 0, 4, 3)
        for images in (None, len(HAS_CLASS))
    )
    for sampler in (usual, said):
        sampler.set_position(5, 7)
    assert list(usual) == list(said)


def test_a_balanced_epoch_has_the_length_that_was_asked_for() -> None:
    sampler = make_sampler(SamplingSettings(balance="class", epoch_images=50), None, HAS_CLASS, 0, 4, 3)
    sampler.set_position(1)
    assert len(list(sampler)) == len(sampler) == 48  # whole batches


@settings(deadline=None)
@given(st.integers(0, 20), st.integers(0, 9), st.booleans())
def test_a_resumed_epoch_goes_on_where_it_stopped(skip: int, epoch: int, shuffle: bool) -> None:
    assert order(3, epoch, skip, shuffle=shuffle) == order(3, epoch, shuffle=shuffle)[skip:]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    torch.manual_seed(1)
    first = order(5, 2)
    torch.manual_seed(2)
    sampler = EpochSampler(20, 5, shuffle=True)
    assert [key.row for key in sampler] != [key.row for key in first]  # epoch 0
    sampler.set_position(2)
    assert list(sampler) == first == list(sampler)
    assert [key.row for key in order(6, 2)] != [key.row for key in first]
    assert [key.row for key in order(6, 1)] != [key.row for key in first]  # not by their sum


def test_without_shuffling_rows_come_in_order() -> None:
    assert order(0, 4, skip=17, shuffle=False) == [SampleKey(4, 17), SampleKey(4, 18), SampleKey(4, 19)]


def test_an_iteration_that_runs_keeps_its_order_when_the_position_moves() -> None:
    sampler = EpochSampler(20, 0, shuffle=True)
    running = iter(sampler)
    head = [next(running) for _ in range(5)]
    sampler.set_position(7)
    assert head + list(running) == order(0, 0)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_data_loader_prepared_by_accelerate(workers: int) -> None:
    sampler = EpochSampler(10, 1, shuffle=True)
    loader = DataLoader(Keys(), batch_size=3, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)
    loader = prepare_data_loader(loader, num_processes=1, process_index=0, put_on_device=False)
    assert len(loader) == 4
    for epoch, skip in [(0, 0), (1, 0), (1, 6), (2, 0)]:
        sampler.set_position(epoch, skip)
        seen = [SampleKey(*key) for batch in loader for key in batch.tolist()]
        assert seen == order(1, epoch, skip, rows=10)


def test_shared_by_two_processes_each_row_is_seen() -> None:
    sampler = EpochSampler(12, 1, shuffle=True)
    sampler.set_position(3)
    batches = BatchSampler(sampler, batch_size=3, drop_last=False)
    shards = [list(BatchSamplerShard(batches, 2, index)) for index in range(2)]
    assert [len(shard) for shard in shards] == [2, 2]
    together = [key for pair in zip(*shards, strict=True) for batch in pair for key in batch]
    assert together == order(1, 3, rows=12)


@pytest.mark.parametrize(
    ("share", "batch", "number"),
    [
        (0.12, 36, 4),
        (0.125, 36, 5),
        (0.5, 3, 2),
        (0.25, 8, 2),
        (0.1, 8, 1),
        (0.85, 4, 3),
    ],  # 4.32, 4.5, 1.5, 2, 0.8, 3.4
)
def test_a_share_of_a_batch_is_rounded_to_whole_images_halves_up(share: float, batch: int, number: int) -> None:
    assert pseudo_a_batch(pseudo_settings(share), batch) == number


@pytest.mark.parametrize(("share", "batch", "said"), [(0.12, 4, "0 images, none"), (0.9, 5, "5 images, all")])
def test_a_share_that_is_no_image_or_all_is_refused(share: float, batch: int, said: str) -> None:
    with pytest.raises(InputError, match=rf"pseudo\.share {share} of a batch of {batch} is {said}.*train\.batch_size"):
        pseudo_a_batch(pseudo_settings(share), batch)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.integers(2, 12), st.data(), st.floats(0.01, 1), st.integers(0, 99))
def test_an_epoch_keeps_to_both_limits_and_rows_come_once(
    labelled: int, pseudo: int, batch: int, data: st.DataObject, keep: float, epoch: int
) -> None:
    number = data.draw(st.integers(1, batch - 1))
    drawn = batches_of(mixed(number / batch, keep, labelled, pseudo, batch), epoch, batch)
    counts = Counter(row for rows in drawn for row in rows)
    a_batch = [sum(row >= labelled for row in rows) for rows in drawn]
    kept, room = max(1, int(keep * pseudo + 0.5)), max(1, labelled // (batch - number)) * number
    assert max(counts) < labelled + pseudo
    assert all(count == 1 for row, count in counts.items() if row >= labelled)
    if room <= kept:  # the share of a batch binds
        assert a_batch == [number] * max(1, labelled // (batch - number))
    else:
        assert len(drawn) == max(1, (labelled + kept) // batch)
        assert sum(a_batch) == min(kept, len(drawn) * number)
        assert max(a_batch) <= number
        assert max(a_batch) - min(a_batch) <= 1
    if labelled >= batch:
        assert all(count == 1 for row, count in counts.items() if row < labelled)
        assert sum(row < labelled for row in counts) > labelled - batch


@pytest.mark.parametrize(
    ("pseudo", "keep", "an_epoch", "batches"),
    [
        (5506, 0.6, 1256, 314),  # 10,054 labelled / 32 a batch: 314 batches of 4; 60 % would be 3,304
        (1801, 0.6, 1081, 309),  # 60 % of them, and (10,054 + 1,081) / 36 batches
        (1801, 1.0, 1256, 314),
        (100, 0.6, 60, 280),
    ],
)
def test_no_pseudo_labelled_image_comes_again_before_all_have_come(
    pseudo: int, keep: float, an_epoch: int, batches: int
) -> None:
    """The competition's 80 % of training images, and its test images: all of them, or the public ones of 2019."""
    sampler = mixed(share=0.12, keep=keep, labelled=10054, pseudo=pseudo, batch=36)
    stream: list[int] = []
    for epoch in range(6):
        drawn = batches_of(sampler, epoch, 36)
        own = [row for rows in drawn for row in rows if row >= 10054]
        assert len(drawn) == batches
        assert len(own) == len(set(own)) == an_epoch  # none twice in an epoch, also where a round ends in it
        stream += own
    for start in range(0, len(stream), pseudo):
        part = stream[start : start + pseudo]
        assert len(set(part)) == len(part)
    assert len(set(stream)) == min(pseudo, len(stream))


def test_what_binds_is_said_in_words() -> None:
    share, keep = (
        mix_in_words(plan_mix(10054, pseudo, 36, pseudo_settings(0.12)), pseudo, 36, 0.6) for pseudo in (5506, 1801)
    )
    assert share == (
        "1256 of 5506 pseudo-labelled images (23%) come in an epoch, 4 in a batch of 36: pseudo.share binds, "
        "pseudo.keep 60% can't"
    )
    assert keep == (
        "1081 of 1801 pseudo-labelled images (60%) come in an epoch, 3 or 4 in a batch of 36: pseudo.keep 60% binds"
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.data(), st.integers(0, 2**40), st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_rounds_are_the_same_whatever_was_asked_before(
    count: int, data: st.DataObject, seed: int, asked: list[int]
) -> None:
    an_epoch = data.draw(st.integers(1, count))
    used = Rounds(count, an_epoch, seed)
    for epoch in asked:
        assert used.epoch(epoch).tolist() == Rounds(count, an_epoch, seed).epoch(epoch).tolist()
    stream = np.concatenate([used.epoch(epoch) for epoch in range(13)])
    for start in range(0, len(stream) - count + 1, count):
        assert sorted(stream[start : start + count]) == list(range(count))
    assert all(len(set(used.epoch(epoch).tolist())) == an_epoch for epoch in range(13))


def test_rounds_are_drawn_by_their_seed() -> None:
    orders = {tuple(Rounds(20, 20, seed).epoch(epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_every_labelled_row_comes_sooner_or_later_though_an_epoch_leaves_some_out() -> None:
    sampler = mixed(labelled=20, batch=8)  # 6 labelled a batch: 18 of 20 an epoch
    epochs = [{row for rows in batches_of(sampler, epoch, 8) for row in rows if row < 20} for epoch in range(8)]
    assert {len(seen) for seen in epochs} == {18}
    assert set.union(*epochs) == set(range(20))


def test_a_row_that_comes_again_within_an_epoch_looks_different() -> None:
    sampling = SamplingSettings(balance="weights", class_weights=(0, 0, 0, 1))
    only_last = np.zeros((20, 3), bool)
    only_last[:19, 0] = True  # one clean image, 20 times
    sampler = make_sampler(sampling, None, only_last, 0, 4, seed=2)
    sampler.set_position(5)
    assert list(sampler) == [SampleKey(5 + time * PASSES_APART, 19) for time in range(20)]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 24), st.integers(0, 9), st.sampled_from(["none", "class"]))
def test_a_mixed_epoch_goes_on_where_it_stopped(skip: int, epoch: int, balance: str) -> None:
    def sampler() -> OrderSampler:
        sampling = SamplingSettings(balance=balance)  # type: ignore[arg-type]
        return make_sampler(sampling, pseudo_settings(), HAS_CLASS, 7, 4, seed=1)

    whole, rest = sampler(), sampler()
    torch.manual_seed(skip)
    whole.set_position(epoch)
    rest.set_position(epoch, skip)
    assert len(rest) == len(whole) - skip == 24 - skip
    assert list(rest) == list(whole)[skip:]


@settings(deadline=None)
@given(st.integers(0, 30))
def test_each_class_and_clean_images_are_drawn_equally_often(epoch: int) -> None:
    sampler = make_sampler(SamplingSettings(balance="class"), None, HAS_CLASS, 0, 4, seed=2)
    sampler.set_position(epoch)
    counts = Counter(row for _, row in sampler)
    assert sum(counts.values()) == 20  # 5 for each of the four sets, so that by hand:
    clean = [counts[row] for row in range(10, 20)]
    assert (sum(clean), max(clean)) == (5, 1)  # under-sampled
    assert sorted([counts[8], counts[9]]) == [2, 3]  # over-sampled
    # Rows 4 and 5 show two classes and are in both sets.
    assert sum(counts[row] for row in range(8)) == 10
    assert sum(counts[row] for row in range(4)) <= 5 <= sum(counts[row] for row in range(6))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((0, 0, 1, 1), (0, 0, 10, 10)),
        ((0, 0, 3, 1), (0, 0, 15, 5)),
        ((1, 0, 0, 0), (20, 0, 0, 0)),
    ],
)
def test_weights_say_how_often(weights: tuple[float, ...], expected: tuple[int, ...]) -> None:
    sampling = SamplingSettings(balance="weights", class_weights=weights)
    rows = np.array([row for _, row in make_sampler(sampling, None, HAS_CLASS, 0, 4, seed=2)])
    bounds = [(0, 6), (6, 8), (8, 10), (10, 20)]
    assert tuple(int(((rows >= low) & (rows < high)).sum()) for low, high in bounds) == expected


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=6), st.integers(0, 200), st.integers(0, 1000))
def test_sets_are_drawn_by_their_weights_but_for_one(weights: list[float], count: int, seed: int) -> None:
    sets = tuple(np.arange(10 * index, 10 * index + 1 + index) for index in range(len(weights)))
    rows = Strata(sets, tuple(weights)).draw(count, np.random.default_rng(seed))
    assert len(rows) == count
    drawn = np.bincount(rows // 10, minlength=len(weights))
    assert (abs(drawn - count * np.array(weights) / sum(weights)) < 1 + 1e-6).all()
    for index, own in enumerate(sets):
        times = [int((rows == row).sum()) for row in own]
        assert max(times) - min(times) <= 1, index


def test_what_is_over_by_rounding_goes_to_every_set_in_turn() -> None:
    sets = Strata((np.array([0]), np.array([1]), np.array([2])), (1.0, 1.0, 1.0))
    extra = {tuple(np.bincount(sets.draw(4, np.random.default_rng(seed)), minlength=3)) for seed in range(30)}
    assert extra == {(2, 1, 1), (1, 2, 1), (1, 1, 2)}


def test_a_class_that_no_image_shows_is_not_waited_for() -> None:
    has_class = np.array([[True, False], [False, False]])
    sampler = make_sampler(SamplingSettings(balance="class"), None, has_class, 0, 2, seed=0)
    assert sorted(row for _, row in sampler) == [0, 1]


@pytest.mark.parametrize(("weights", "said"), [((1, 1), "has 2 numbers.*give 4"), ((0, 0, 0, 0), "leaves no image")])
def test_weights_that_fit_no_class_are_refused(weights: tuple[float, ...], said: str) -> None:
    sampling = SamplingSettings(balance="weights", class_weights=weights)
    with pytest.raises(InputError, match=said):
        make_sampler(sampling, None, HAS_CLASS, 0, 4, seed=0)


@pytest.mark.parametrize("given", [{"balance": "weights"}, {"class_weights": [1, 2]}])
def test_balance_and_weights_belong_together(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        SamplingSettings.model_validate(given)


@pytest.mark.parametrize("processes", [2, 3])
def test_each_process_has_the_share_in_its_own_batches(processes: int) -> None:
    sampler = mixed(share=0.25, keep=0.5, labelled=30, pseudo=20, batch=4)  # 10 batches
    assert isinstance(sampler, MixedSampler)
    whole = batches_of(sampler, 2, 4)
    shards = []
    for index in range(processes):
        own = mixed(share=0.25, keep=0.5, labelled=30, pseudo=20, batch=4)  # a process has a sampler of its own
        own.set_position(2)
        shards.append(list(BatchSamplerShard(BatchSampler(own, 4, drop_last=True), processes, index)))
    steps = 10 // processes
    assert [len(shard) for shard in shards] == [steps] * processes
    for index, shard in enumerate(shards):
        rows = [[key.row for key in batch] for batch in shard]
        assert rows == whole[index : steps * processes : processes]
        assert {sum(row >= 30 for row in batch) for batch in rows} == {1}


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_resume_together_in_mid_epoch(processes: int) -> None:
    def shard(index: int, skip: int) -> list[list[SampleKey]]:
        sampler = mixed(labelled=30, batch=4)
        sampler.set_position(1, skip)
        return list(BatchSamplerShard(BatchSampler(sampler, 4, drop_last=True), processes, index))

    for index in range(processes):
        assert shard(index, 2 * processes * 4) == shard(index, 0)[2:]
