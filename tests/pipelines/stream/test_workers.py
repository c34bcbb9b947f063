import threading

import pytest

from gopseg.pipelines.stream.stats import StreamStats
from gopseg.pipelines.stream.workers import ReadAhead, WriteBehind


def test_reading_keeps_order_and_counts_time():
    times = []
    with ReadAhead(range(50), 4, times.append) as reader:
        assert list(reader) == list(range(50))
    assert len(times) == 50
    assert reader.is_stopped


def test_reading_is_bounded():
    taken = []
    full = threading.Event()

    def source():
        for i in range(100):
            taken.append(i)
            if i == 3:
                full.set()
            yield i

    with ReadAhead(source(), 3) as reader:
        assert full.wait(10)
        assert not threading.Event().wait(0.3)
        assert taken == [0, 1, 2, 3], "3 in the queue, 1 in the hand"
        assert next(iter(reader)) == 0
    assert reader.is_stopped
    assert len(taken) < 100


def test_the_readers_exception_arrives_after_its_items():
    def source():
        yield 1
        yield 2
        raise KeyError("broken")

    seen = []
    with ReadAhead(source()) as reader, pytest.raises(KeyError, match="broken"):
        seen.extend(reader)
    assert seen == [1, 2]


def test_latest_passes_over_what_piled_up():
    gate, piled = threading.Event(), threading.Event()

    def source():
        yield 0
        assert gate.wait(10)
        yield from range(1, 8)
        piled.set()

    with ReadAhead(source(), 20) as reader:
        items = reader.latest()
        assert next(items) == (0, [])
        gate.set()
        assert piled.wait(10)
        reader._thread.join(10)
        assert next(items) == (7, [1, 2, 3, 4, 5, 6])
        assert list(items) == []


def test_latest_reports_the_readers_exception():
    def source():
        yield 0
        raise KeyError("broken")

    seen = []
    with ReadAhead(source()) as reader, pytest.raises(KeyError):
        seen.extend(reader.latest())


def test_writing_keeps_order_and_waits():
    written = []
    writer = WriteBehind(written.append, 2)
    for i in range(30):
        writer.put(i)
    writer.close()
    assert written == list(range(30))


def test_the_writers_exception_stops_the_producer():
    written = []

    def write(item):
        if item == 3:
            raise OSError("disk full")
        written.append(item)

    writer = WriteBehind(write, 1)

    def produce():
        for i in range(1000):
            writer.put(i)

    with pytest.raises(OSError, match="disk full"):
        produce()
    with pytest.raises(OSError, match="disk full"):
        writer.close()
    assert written == [0, 1, 2]


def test_an_exception_on_the_last_item_surfaces_at_close():
    writer = WriteBehind(lambda item: 1 / item)
    writer.put(0)
    with pytest.raises(ZeroDivisionError):
        writer.close()


def test_abandoning_drops_what_is_queued():
    begun, go = threading.Event(), threading.Event()
    written = []

    def write(item):
        begun.set()
        assert go.wait(10)
        written.append(item)

    writer = WriteBehind(write, 8)
    for i in range(5):
        writer.put(i)
    assert begun.wait(10)
    threading.Timer(0.2, go.set).start()
    writer.abandon()
    assert written == [0]


@pytest.mark.parametrize("make", [lambda: ReadAhead([], 0), lambda: WriteBehind(print, 0)])
def test_a_queue_needs_room(make):
    with pytest.raises(ValueError, match="no room"):
        make()


def test_statistics_stay_small_and_right():
    stats = StreamStats()
    for i in range(10_001):
        stats.add("warp", float(i))
    report = stats.report(2.0)["stages_ms"]["warp"]
    assert report["frames"] == 10_001
    assert report["mean"] == 5000
    assert report["median"] == pytest.approx(5000, rel=0.1)
    assert len(stats._stages["warp"]._sample) == 4096
