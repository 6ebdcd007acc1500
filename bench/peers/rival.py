# SPDX-License-Identifier: MIT
"""The rival's end of bench/rival.h: options and tensors come in, seconds and results go out."""
import importlib
import os
import sys
import time
import traceback


class Ended(Exception):
    """The other side has nothing more to ask."""


class Pipe:
    """Lines and arrays, to and from the other side."""

    def __init__(self):
        # What a library prints goes to stderr: stdout is the protocol's.
        self.output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self.input = sys.stdin.buffer

    def say(self, text):
        self.output.write((text + "\n").encode())
        self.output.flush()

    def ask(self):
        line = self.input.readline().decode()
        if not line:
            raise Ended
        return line.split()

    def read_array(self, kind, shape):
        import numpy
        array = numpy.empty(shape, {"f32": numpy.float32, "i32": numpy.int32}[kind])
        view = memoryview(array).cast("B")
        while len(view):
            count = self.input.readinto(view)
            if not count:
                raise Ended
            view = view[count:]
        return array

    def write_array(self, name, array):
        import numpy
        kind = {"float32": "f32", "int32": "i32"}[str(array.dtype)]
        self.output.write(f"tensor {name} {kind} {' '.join(map(str, array.shape))}\n".encode())
        self.output.write(memoryview(numpy.ascontiguousarray(array)).cast("B"))
        self.output.flush()


PIPE = Pipe()


def need(name):
    """Imports the module and says hello, or says what is missing and ends the program."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        PIPE.say(f"missing {error}")
        sys.exit()
    PIPE.say(f"hello {name} {module.__version__}")


def talk(build):
    options, tensors, job = {}, {}, None
    while True:
        word, *rest = PIPE.ask()
        if word == "option":
            options[rest[0]] = int(rest[1])
        elif word == "tensor":
            tensors[rest[0]] = PIPE.read_array(rest[1], [int(n) for n in rest[2:]])
        elif word == "ready":
            job = build(options, tensors)
            tensors.clear()
            PIPE.say("ready")
        elif word == "run":
            start = time.perf_counter()
            job.run()
            PIPE.say(f"seconds {time.perf_counter() - start:.9f}")
        elif word == "get":
            PIPE.write_array(rest[0], job.result(rest[0]))


def serve(build):
    """Does as it is told. build(options, tensors) makes the job from integers and numpy arrays by
    name (it may keep the arrays): job.run() is the work to be timed, job.result(name) a numpy array
    of what the last run computed."""
    try:
        talk(build)
    except Ended:
        pass
    except Exception as error:  # the other side shows it as the row's text
        traceback.print_exc()
        PIPE.say(f"failed {type(error).__name__}: " + " ".join(str(error).split())[:300])
