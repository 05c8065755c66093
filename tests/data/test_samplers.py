"""The order of samples: complete, fixed by (seed, epoch), and resumable, also under DataLoader and accelerate."""

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, prepare_data_loader
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, Dataset

from sever.data.samplers import EpochSampler, SampleKey


class Keys(Dataset[torch.Tensor]):
    """Gives back the key it was asked for."""

    def __getitem__(self, key: SampleKey) -> torch.Tensor:
        return torch.tensor([key.epoch, key.row])


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
