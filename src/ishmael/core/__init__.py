"""The pure decision: same state and same event, same next state and commands. No I/O, no clock, no chance, no log.

The driver's duties, which the simulator shares:

1. Feed every event with the time it was *read* (CLOCK_MONOTONIC, ms); one event at a time.
2. Tick at least every ``times.tick_ms``; ``facts.QUIET_TICKS`` times that will do while ``facts.quiet``, asked after every
   event. Before reading anything else after a late tick, tick first.
3. Carry out the commands in order. Answer each that has an end with its ``…Ended`` event; never claim an end early.
4. ``Save`` has ended only when the record survives a power cut.
5. ``DropAddress`` is carried out before anything else of the same step.
6. The record given with ``Started`` survives a power cut: file and directory are fsynced before it is read, for an earlier
   keeper may have been killed between rename and fsync.
7. ``DataReported`` is measured after the last ``SynchronousEnded`` was given.
"""
