"""Hidden and exposed collectives, on time lines that can be drawn."""

from benchmarks import overlap

MATMUL, GATHER, REDUCE = "nvjet_hsh_128x256", "ncclDevKernel_AllGather_RING_LL", "ncclDevKernel_ReduceScatter_Sum"


def test_what_runs_behind_work_is_hidden_and_the_rest_exposed():
    """Seconds 0123456789: work ####..##.. and a collective ..====.... hidden for two seconds, exposed for two."""
    found = overlap.of_kernels([(MATMUL, (0, 4)), (GATHER, (2, 6)), (MATMUL, (6, 8))])
    assert found == overlap.Overlap(hidden=2, exposed=2, work=6)


def test_kernels_of_several_streams_count_once():
    found = overlap.of_kernels([(GATHER, (0, 3)), (REDUCE, (1, 4)), (MATMUL, (3, 5)), (MATMUL, (3, 6))])
    assert found == overlap.Overlap(hidden=1, exposed=3, work=3)


def test_kernels_that_talk_are_known_by_name_however_it_is_written():
    talk = ["all_reduce_kernel", "AllGatherKernel", "reduce-scatter.3", "MemcpyP2P"]
    work = ["input_reduce_fusion_3", "loop_gather_fusion", "MemcpyD2D", "gemm_fusion_dot_12"]
    assert [bool(overlap.COLLECTIVE.search(name)) for name in talk + work] == [True] * 4 + [False] * 4


def test_spans_that_touch_are_joined_and_gaps_stay():
    assert overlap.joined([(5, 6), (0, 1), (1, 2), (0.5, 1.5)]) == [(0, 2), (5, 6)]


def test_without_collectives_there_is_nothing_to_hide():
    assert overlap.of_kernels([(MATMUL, (0, 9))]) == overlap.Overlap(hidden=0, exposed=0, work=9)
