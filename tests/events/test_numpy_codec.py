"""Arrays and scalars of numpy arrive as they left, where both ends asked for it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from pyro_events import AsyncSubscriber, Publisher, codec
from pyro_events._protocol import tags
from pyro_events._protocol.tags import MARK
from tests.events.client_fixtures import Recording
from tests.events.service_harness import Recorder, proxy
from tests.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.events.service_harness import Process, Running, StockDaemon

np = pytest.importorskip("numpy")

from hypothesis import given, settings  # noqa: E402 - numpy may be missing
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as hnp  # noqa: E402

from pyro_events import numpy_codec  # noqa: E402

pytestmark = pytest.mark.usefixtures("each_codec")


@pytest.fixture
def registered() -> Iterator[None]:
    numpy_codec.register()
    yield
    numpy_codec.unregister()


def same(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other)
        and one.dtype == other.dtype
        and one.dtype.isalignedstruct == other.dtype.isalignedstruct
        and one.shape == other.shape
        and (one.tobytes() == other.tobytes() or repr(one) == repr(other))  # long doubles have gaps
    )


dtypes = (
    hnp.scalar_dtypes() | hnp.unicode_string_dtypes() | hnp.byte_string_dtypes()
    | hnp.array_dtypes() | hnp.nested_dtypes()
).filter(lambda dtype: not dtype.hasobject)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
)
def test_arrays_of_any_dtype_and_shape_round_trip(array: Any) -> None:
    """Structures, both byte orders, dates, zero dimensions and empty arrays do, and scalars."""
    numpy_codec.register()
    try:
        array = np.asarray(array)
        again = codec.unpack(codec.pack({"a": [array]}))["a"][0]
        assert same(again, array)
        assert again.flags.writeable
        if array.size:
            scalar = array[(0,) * array.ndim]
            if isinstance(scalar, np.generic):
                assert same(codec.unpack(codec.pack((scalar,)))[0], scalar)
    finally:
        numpy_codec.unregister()


def read_only() -> Any:
    array = np.arange(12).reshape(3, 4)
    array.flags.writeable = False
    return array


CUBE = np.arange(24, dtype=">f8").reshape(2, 3, 4)
ALIGNED = np.dtype([("flag", "i1"), ("value", "f8", (2, 2)), ("when", "M8[25s]")], align=True)
ARRAYS = {
    "fortran": np.asfortranarray(CUBE),
    "transposed": CUBE.T,
    "axes swapped": CUBE.swapaxes(0, 1),
    "reversed": CUBE[::-1, :, ::2],
    "broadcast": np.broadcast_to(np.float32(1.5), (3, 2)),
    "read-only": read_only(),
    "no dimension": np.array(5, "u1"),
    "empty": np.zeros((0, 3, 1 << 20), "c16"),
    "fortran empty": np.zeros((3, 0), "i4", order="F"),
    "of nothing": np.zeros((2, 3), "V0"),
    "aligned": np.ones(3, ALIGNED),
    "overlapping": np.ones(2, {"names": ["a", "b"], "formats": ["u4", "u1"], "offsets": [0, 1]}),
    "titles": np.ones(1, [(("the title", "x"), "i2"), ("y", "<U3")]),
    "no fields": np.zeros(2, np.dtype([])),
    "date": np.array(["NaT", "2026-11-24"], "M8[D]"),
    "long double": np.array(["0.1"], "g"),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_hard_arrays_round_trip(registered: None, array: Any) -> None:
    """For any memory order, views and structures the copy is complete, writable and unshared."""
    again = codec.unpack(codec.pack(array))
    assert same(again, array)
    assert again.flags.writeable
    if not array.flags.c_contiguous:
        assert again.flags.f_contiguous == array.flags.f_contiguous


SCALARS = [
    np.float64("nan"), np.float32(0.1), np.float16(1), np.longdouble("0.1"), np.int8(-1),
    np.uint64(2**64 - 1), np.longlong(5), np.bool_(True), np.complex64(1j), np.str_("a\0"),
    np.str_(""), np.str_("\ud800"), np.bytes_(b"a\0"), np.datetime64("2024-02-29T12", "h"),
    np.datetime64("NaT", "s"), np.timedelta64(5, "ms"), np.ones(1, ALIGNED)[0], np.void(b"\0\1"),
]  # fmt: skip


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_scalars_round_trip(registered: None, scalar: Any) -> None:
    """They stay scalars of the same type, not Python's numbers or arrays."""
    again = codec.unpack(codec.pack({"s": scalar}))["s"]
    assert same(again, scalar)
    if isinstance(scalar, (str, bytes)):
        assert list(again) == list(scalar)


class Mine(np.ndarray):  # type: ignore[misc,name-defined] # numpy may be missing
    """A user's subclass."""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([1, "a"], object), "numpy.ndarray can't be sent; the dtype object holds Python"),
        (np.zeros(1, [("a", "i4"), ("b", "O")]), "numpy.ndarray can't be sent; the dtype [('a', '"),
        (np.zeros(1, [("b", "O")])[0], "numpy.void can't be sent; the dtype [('b', 'O')] holds"),
        (np.zeros(2).view(Mine), "test_numpy_codec.Mine can't be sent; use a type that can, or"),
        (np.ma.masked_array([1, 2], [0, 1]), "numpy.ma"),
        (np.dtype("i4"), "numpy.dtypes.Int32DType can't be sent"),
    ],
)
def test_what_cannot_travel_is_refused_at_publish(registered: None, value: Any, words: str) -> None:
    """The error has the path and the reason."""
    with pytest.raises(TypeError, match="^" + re.escape("message['x'][1]: " + words)):
        codec.pack({"x": (0, value)})


@pytest.mark.parametrize("value", [np.float64(1), np.zeros(3), np.int64(1), np.str_("x")])
def test_without_registration_they_are_refused_with_advice(value: Any) -> None:
    """The error has type, path and a hint."""
    name = type(value).__name__
    words = f"message['x']: numpy.{name} can't be sent; call pyro_events.numpy_codec.register()"
    with pytest.raises(TypeError, match="^" + re.escape(words)):
        codec.pack({"x": value})


MESSAGE = {"at": (1, 2), "frame": np.arange(6, dtype=">i2").reshape(2, 3), "mean": np.float32(0.5)}


def check(got: Any) -> None:
    assert same(got["frame"], MESSAGE["frame"])
    assert same(got["mean"], MESSAGE["mean"])


@pytest.mark.parametrize("delivery", ["stream", "callback"])
def test_arrays_arrive_at_helpers(
    registered: None, engine: Callable[..., Running], delivery: Any
) -> None:
    """They arrive also by serpent, which a callback uses for a message with a date."""
    from datetime import UTC, datetime

    es = engine()
    with Recording(es.uri, delivery=delivery) as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        sub.start()
        pub.publish("a", MESSAGE)
        pub.post("a", {**MESSAGE, "when": datetime(2024, 1, 1, tzinfo=UTC)})
        for got in sub.wait(2):
            check(got)


def test_arrays_arrive_in_asyncio_and_at_stock_subscribers(
    registered: None, engine: Callable[..., Running], stock: Callable[..., StockDaemon]
) -> None:
    """The stock daemon's program has registered numpy."""
    es, recorder = engine(), Recorder()
    uri = stock().register(recorder)

    async def receive() -> Any:
        async with AsyncSubscriber(es.uri) as sub:
            await sub.subscribe("a")
            with Publisher(es.uri) as pub:
                pub.post("a", MESSAGE)
            async for event in sub:
                return event.msg
        return None

    with proxy(es.uri) as bare:
        bare.subscribe("a", uri)
        check(asyncio.run(receive()))
        check(eventually(lambda: recorder.events)[0].msg)


def test_a_subscriber_without_registration_gets_a_gap(
    engine: Callable[..., Running],
) -> None:
    """The event is counted and reported, without a crash."""
    es = engine()
    with Recording(es.uri) as sub, Publisher(es.uri) as pub:
        sub.subscribe("a")
        numpy_codec.register()
        pub.publish("a", np.zeros(3))
        numpy_codec.unregister()
        pub.publish("a", "next")
        sub.start()
        assert sub.wait(1) == ["next"]
        (gap,) = sub.gaps()
        assert (gap["missed"], gap["reason"]) == (1, "undecodable")
        assert "'numpy.ndarray'" in gap["detail"]
        assert sub.statistics()["undecodable"] == 1


def test_the_event_service_needs_no_numpy(process: Callable[..., Process]) -> None:
    """A real one carries arrays without having imported it, to itself and to others."""
    script = (
        "import sys; from pyro_events import EventService\n"
        "with EventService(host='localhost', port=0, register=False) as es:\n"
        "    print(es.uri, flush=True); sys.stdin.readline()\n"
        "    print('numpy' in sys.modules, flush=True)\n"
    )
    es = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert es.stdin is not None
    assert es.stdout is not None
    with es:
        uri = es.stdout.readline().strip()
        numpy_codec.register()
        try:
            with Recording(uri) as stream, Recording(uri, delivery="callback") as called:
                for sub in (stream, called):
                    sub.subscribe("a")
                    sub.start()
                with Publisher(uri) as pub:
                    pub.publish("a", MESSAGE)
                check(stream.wait(1)[0])
                check(called.wait(1)[0])
        finally:
            numpy_codec.unregister()
            es.stdin.write("\n")
            es.stdin.flush()
        assert es.stdout.readline() == "False\n"
    assert es.returncode == 0


def state(**changes: Any) -> dict[str, Any]:
    return {"dtype": "<i4", "shape": [2], "order": "C", "data": bytes(8), **changes}


FIELDS = {
    "names": ["a"], "formats": ["<i4"], "offsets": [0], "titles": [None], "itemsize": 8,
    "aligned": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "O"}, {"dtype": "|O8"}, {"dtype": "|O"}, {"dtype": "|T16"}, {"dtype": "i4,O"},
        {"dtype": "<i4" * 1000}, {"dtype": "<U999999999"}, {"dtype": "<f7"}, {"dtype": "<M8[x]"},
        {"dtype": {**FIELDS, "formats": ["|O8"]}}, {"dtype": {**FIELDS, "offsets": [5]}},
        {"dtype": {**FIELDS, "offsets": [-1]}}, {"dtype": {**FIELDS, "itemsize": 1 << 40}},
        {"dtype": {**FIELDS, "names": [7]}}, {"dtype": {**FIELDS, "names": []}}, {"dtype": {}},
        {"dtype": {"base": "<i4", "shape": [1 << 62, 1 << 62]}}, {"dtype": None},
        {"dtype": {"base": "|V0", "shape": [1 << 62]}}, {"shape": [3]}, {"shape": [-2]},
        {"shape": [-1, -2]}, {"shape": 2}, {"shape": [1 << 62, 0], "data": b"x"},
        {"shape": [2.0]}, {"shape": [1 << 40], "dtype": "|V0", "data": b""},
        {"shape": [1] * 70 + [2]}, {"data": "x" * 8}, {"data": [0] * 8}, {"data": None},
        {"data": {"data": "%", "encoding": "base64"}}, {"data": bytes(7)},
        {"shape": [[MARK[tags.INT], b"\1" * 5_000_000]] * 4},
    ],
    ids=lambda changes: repr(changes)[:60],
)  # fmt: skip
def test_hostile_bytes_are_harmless_arrays_or_value_errors(
    registered: None, changes: dict[str, Any]
) -> None:
    """They cause no pointers, no foreign memory and no crash."""
    for name in ("numpy.ndarray", "numpy.scalar.l", "numpy.scalar.V"):
        body = msgpack.packb([MARK[tags.CLASS], name, state(**changes)])
        with pytest.raises(ValueError, match=r"[a-z]{3}"):
            codec.unpack(body)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "dtype": st.sampled_from(["<f8", "|S3", "|V0", "<M8[D]", "|O8"])
            | st.fixed_dictionaries({
                "names": st.lists(st.text(max_size=2), max_size=3),
                "formats": st.lists(st.sampled_from(["<i4", "|O", "|S1"]), max_size=3),
                "offsets": st.lists(st.integers(-1, 9), max_size=3),
                "titles": st.lists(st.none() | st.text(max_size=1), max_size=3),
                "itemsize": st.integers(-1, 20), "aligned": st.booleans(),
            }),
            "shape": st.lists(st.integers(-1, 5), max_size=4),
            "order": st.sampled_from("CFA"),
            "data": st.binary(max_size=40),
        },
    )
)  # fmt: skip
def test_random_descriptions_are_arrays_or_value_errors(changes: dict[str, Any]) -> None:
    """This includes all that numpy itself refuses."""
    numpy_codec.register()
    try:
        body = msgpack.packb([MARK[tags.CLASS], "numpy.ndarray", state(**changes)])
        try:
            made = codec.unpack(body)
        except ValueError:
            return
        assert isinstance(made, np.ndarray)
        assert not made.dtype.hasobject
        assert made.nbytes <= 40
        repr(made)
    finally:
        numpy_codec.unregister()


def test_registering_twice_does_no_harm(registered: None) -> None:
    """Two libraries may both do it."""
    numpy_codec.register()
    assert same(codec.unpack(codec.pack(np.arange(3))), np.arange(3))


def test_without_numpy_the_import_names_what_to_install() -> None:
    """The error has the name of the extra."""
    script = "import sys; sys.modules['numpy'] = None; import pyro_events.numpy_codec"
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=30
    )
    assert "pip install 'pyroctl[numpy]'" in done.stderr
