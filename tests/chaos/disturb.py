"""What is done to an installation at work: a seed says what, when and to whom, and the log says it again."""

import random
import time

from .site import BROKERS, RELAYS, SESSION_S


class Disturbances:
    """A seeded row of disturbances. Each kind comes once before any comes again, in an order that the seed chooses."""

    def __init__(self, site, *, seed, away_s):
        self._site = site
        self._away_s = away_s
        self._chance = random.Random(seed)
        self._left = []
        self.log = [f"seed {seed}"]
        stack = site.stack
        self._kinds = {
            "relay killed": lambda: self._end_a_relay(stack.kill),
            "relay asked to end": lambda: self._end_a_relay(stack.terminate),
            "relay frozen beyond its session": self._freeze_a_relay,
            "a relay leaves and joins again": self._leave_and_join,
            "Kafka Connect killed": lambda: stack.kill("connect"),
            "a broker killed": lambda: stack.kill(self._one(BROKERS)),
            "a broker asked to end": lambda: stack.terminate(self._one(BROKERS)),
            "all of Kafka away": self._kafka_away,
            "PostgreSQL killed": lambda: stack.kill("postgres"),
            "PostgreSQL stopped immediately": site.quit_postgres,
            "PostgreSQL restarted": lambda: stack.restart("postgres"),
            "PostgreSQL away": self._postgres_away,
            "state database shut": self._state_shut,
        }

    def one(self):
        """Do the next one; returns when it is over, not when its consequences are."""
        if not self._left:
            self._left = sorted(self._kinds)
            self._chance.shuffle(self._left)
        kind = self._left.pop()
        began_s = time.monotonic()
        self._kinds[kind]()
        self.log.append(f"{len(self.log)}. {kind} ({time.monotonic() - began_s:.1f} s)")
        print(self.log[-1], flush=True)
        time.sleep(self._chance.uniform(0.1, 2.5))

    def _one(self, names):
        chosen = self._chance.choice(names)
        self._site.stack.wait_ready(chosen)
        return chosen

    def _end_a_relay(self, how):
        self._site.end(self._one(RELAYS), how)

    def _freeze_a_relay(self):
        name = self._one(RELAYS)
        self._site.stack.freeze(name)
        time.sleep(SESSION_S + 1.5)
        self._site.stack.thaw(name)

    def _leave_and_join(self):
        name = self._one(RELAYS)
        self._site.stack.take_down(name)
        self._site.ended_by_us[name] += 1
        time.sleep(self._chance.uniform(0.0, 2.0))
        self._site.stack.bring_up(name)

    def _kafka_away(self):
        self._site.take_down_kafka()
        time.sleep(self._away_s)
        self._site.bring_up_kafka()

    def _postgres_away(self):
        self._site.stack.take_down("postgres")
        time.sleep(self._away_s)
        self._site.stack.bring_up("postgres")

    def _state_shut(self):
        self._site.stack.wait_ready("postgres")
        with self._site.state_database_shut():
            time.sleep(min(self._away_s, 5.0))
