# SPDX-License-Identifier: GPL-2.0
"""
events - a discrete-event simulation: tasks, CPUs, and range locks

A task is a generator.  It yields what it does next:

	(SLEEP, t)		nothing, for t; needs no CPU
	(WORK, t)		work, for t; needs a CPU, and waits for one
	(SPIN, lock, t)		work, for t, under a spinlock; uses its CPU while
				it spins
	(PARK,)			wait until another task calls Simulation.wake()

CPUs are given in order of arrival, and not taken back before the work is done:
a piece of work is short here.  Times are in microseconds.
"""

import collections
import heapq

SLEEP, WORK, SPIN, PARK = range(4)


class Simulation:
    """The clock, the events to come, and the CPUs; None: as many as wanted."""

    def __init__(self, cpus=None):
        self.now = 0.0
        self.events = []
        self.number = 0
        self.idle = cpus
        self.ready = collections.deque()
        self.stopped = False

    def start(self, task):
        """A new task begins now."""
        self._later(0, task, False)

    def wake(self, task):
        """A parked task goes on now."""
        self._later(0, task, False)

    def stop(self):
        """No event happens after this one."""
        self.stopped = True

    def run(self):
        """Let all events happen."""
        while self.events and not self.stopped:
            self.now, _, task, on_cpu = heapq.heappop(self.events)
            if on_cpu:
                self._free_cpu()
            self._step(task)

    def _later(self, delay, task, on_cpu):
        self.number += 1
        heapq.heappush(self.events,
                       (self.now + delay, self.number, task, on_cpu))

    def _step(self, task):
        try:
            wanted = next(task)
        except StopIteration:
            return
        if wanted[0] == SLEEP:
            self._later(wanted[1], task, False)
        elif wanted[0] == PARK:
            pass
        elif self.idle is None:
            self._execute(task, wanted)
        elif self.idle:
            self.idle -= 1
            self._execute(task, wanted)
        else:
            self.ready.append((task, wanted))

    def _execute(self, task, wanted):
        time = wanted[-1]
        if wanted[0] == SPIN:
            lock = wanted[1]
            lock.free = max(lock.free, self.now) + time
            time = lock.free - self.now
        self._later(time, task, self.idle is not None)

    def _free_cpu(self):
        if self.ready:
            self._execute(*self.ready.popleft())
        else:
            self.idle += 1


class Spinlock:
    """In order of arrival, as a ticket lock."""

    def __init__(self):
        self.free = 0.0


class OneLock:
    """
    One lock for everything; where a range is does not matter.

    A put wakes the first in the queue, which needs @handoff of a CPU until it
    can take the lock.  Another task may take it meanwhile, as with a mutex.  A
    task that was woken in vain once is the next: then nobody else takes it.
    """

    def __init__(self, simulation, handoff, pair):
        self.simulation = simulation
        self.handoff = handoff
        self.pair = pair
        self.held = False
        self.promised = None    # to a task that was woken in vain
        self.queue = collections.deque()
        self.woken = False      # the first in the queue is on its way

    def get(self, task, _):
        """@task gets it."""
        if self.pair:
            yield WORK, self.pair
        first = False
        while self.held or (self.promised and self.promised is not task):
            if first:
                self.promised = task
            else:
                self.queue.append(task)
            self.woken = self.woken and not first
            yield (PARK,)
            first = True
            if self.handoff:
                yield WORK, self.handoff
        self.held = True
        if first:
            self.queue.popleft()
            self.promised = None
            self.woken = False

    get_wide = get

    def put(self, _task, _place):
        """Who has it gives it back."""
        self.held = False
        if self.queue and not self.woken:
            self.woken = True
            self.simulation.wake(self.queue[0])
        return
        yield                   # a generator, as the other one's put

    put_wide = put


class RangeLock:
    """
    A lock of ranges.  Narrow gets never meet each other: each task has chunks
    of its own.  A wide get has a window of many chunks: it keeps new ones out,
    and waits for those inside.  With a @spinlock, each get and put takes it for
    half of @pair.
    """

    def __init__(self, simulation, handoff, pair, spinlock=None):
        self.simulation = simulation
        self.handoff = handoff
        self.pair = pair
        self.spinlock = spinlock
        self.inside = collections.Counter()
        self.waiting = collections.defaultdict(list)
        self.window = self.drain = None

    def _cost(self):
        if self.spinlock:
            return SPIN, self.spinlock, self.pair / 2
        return WORK, self.pair / 2

    def get(self, task, window):
        """@task gets a chunk of its own in the window."""
        if self.pair:
            yield self._cost()
        while self.window == window:
            self.waiting[window].append(task)
            yield (PARK,)
            yield WORK, self.handoff
        self.inside[window] += 1

    def put(self, _, window):
        """It gives it back."""
        if self.pair:
            yield self._cost()
        self.inside[window] -= 1
        if self.window == window and not self.inside[window] and self.drain:
            self.simulation.wake(self.drain)
            self.drain = None

    def get_wide(self, task, window):
        """@task gets a whole window.  There is one such task at a time."""
        if self.pair:
            yield self._cost()
        self.window = window
        while self.inside[window]:
            self.drain = task
            yield (PARK,)
            yield WORK, self.handoff

    def put_wide(self, _, window):
        """It gives it back."""
        if self.pair:
            yield self._cost()
        self.window = None
        for task in self.waiting.pop(window, ()):
            self.simulation.wake(task)
