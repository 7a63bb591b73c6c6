"""Draw who sends the requests of an hour: sessions, each of one user, key and app, and of one model.

What the parameters stand on:

- requests of a chat within an hour: Mooncake's conversation trace (github.com/kvcache-ai/Mooncake), an hour of a chat
  service. Requests that continue the prompt of an earlier one, by the hashes of its 512-token blocks, are of its
  session: 7,373 sessions of 12,031 requests, 1.63 each; 214 s on average from one to the next.
- one model per session: a conversation of LMSYS-Chat-1M (arXiv 2309.11998) names one model.
- sessions of a user: LMSYS-Chat-1M has a million conversations of 210,000 addresses, 4.8 each. ``USERS`` are as
  many, and 8 of the sessions of each are named in ten million requests.
- requests of a key: the rates of the 43 clients of ServeGen's m-small (github.com/alibaba/ServeGen); the standard
  deviation of their logarithm is 2.7, the first client sends 30 %.
- authored, as no trace tells it: that a tenth of the sessions are of agents, which make fifteen requests on average and
  so half of all; how much users differ; how many models a user uses; and that half of the sessions are of clients that
  name session and user at all, both being optional. ``sessions_hourly`` and ``users_hourly`` grow with that share.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

KEYS, USERS, APPS = 200, 200_000, 60
KEYS_SIGMA, USERS_SIGMA = 2.7, 1.5
# Share of chats with 1, 2, 3, … requests in an hour; the last one stands for all longer ones.
CHAT_SIZES = (0.694, 0.178, 0.063, 0.027, 0.016, 0.007, 0.004, 0.004, 0.007)
LONG_CHAT = 13
AGENTS, AGENT_SIZE = 0.1, 15
GAP_S = 214.0
MAIN_MODEL = 0.8
NAMED = 0.5
HOUR_US = 3_600_000_000


class Senders(NamedTuple):
    """Hold for each request, in order of arrival, when it came (µs of the hour) and who sent it, by number.

    ``session`` counts from 0 within the hour, ``sessions`` are their ids. ``named`` is true where the client names
    session and user.
    """

    moment: Any
    session: Any
    sessions: pa.Array
    user: Any
    key: Any
    app: Any
    model: Any
    named: Any


class Population:
    """Know the keys, the users of each and the models of each user, and draw the senders of an hour."""

    def __init__(self, seed: int, models: int) -> None:
        dice = np.random.default_rng([seed, 0])
        keys = _shares(dice.lognormal(0, KEYS_SIGMA, KEYS))
        self._weights = np.cumsum(_shares(dice.lognormal(0, USERS_SIGMA, USERS)))
        self._key_of_user = dice.choice(KEYS, USERS, p=keys)
        self._app_of_key = _zipf(dice, APPS, KEYS)
        self._models = np.stack([_zipf(dice, models, USERS), _zipf(dice, models, USERS)])
        self.users, self.keys = hex_names(dice, USERS, 16), hex_names(dice, KEYS, 32)

    def draw(self, dice: np.random.Generator, rows: int) -> Senders:
        """Return the senders of ``rows`` requests of an hour."""
        chats = dice.choice([*range(1, len(CHAT_SIZES)), LONG_CHAT], rows, p=_shares(np.array(CHAT_SIZES)))
        requests = np.where(dice.random(rows) < AGENTS, dice.geometric(1 / AGENT_SIZE, rows), chats)
        sessions = int(np.searchsorted(np.cumsum(requests), rows)) + 1 if rows else 0
        session = np.repeat(np.arange(sessions), requests[:sessions])[:rows]
        user = np.searchsorted(self._weights, dice.random(sessions)).clip(0, USERS - 1)
        model = self._models[(dice.random(sessions) > MAIN_MODEL).astype(np.int64), user]
        named = dice.random(sessions) < NAMED
        moment = self._moments(dice, session, sessions)
        order = np.argsort(moment, kind="stable")
        place = session[order]
        key = self._key_of_user[user]
        return Senders(
            moment[order], place, hex_names(dice, sessions, 16), user[place], key[place], self._app_of_key[key][place],
            model[place], named[place],
        )  # fmt: skip

    def _moments(self, dice: np.random.Generator, session: Any, sessions: int) -> Any:
        """Return when each request arrives; what would come after the end of the hour comes at its beginning."""
        first = np.searchsorted(session, np.arange(sessions))
        waited = np.cumsum(dice.exponential(GAP_S * 1e6, len(session)))
        since = waited - waited[first][session] if sessions else waited
        return ((dice.random(sessions) * HOUR_US)[session] + since).astype(np.int64) % HOUR_US


def hex_names(dice: np.random.Generator, count: int, length: int) -> pa.Array:
    """Return ``count`` random names of ``length`` bytes in hexadecimal digits."""
    digits = pa.py_buffer(dice.bytes(count * length).hex().encode())
    offsets = np.arange(count + 1, dtype=np.int32) * (2 * length)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), digits)


def _shares(weights: Any) -> Any:
    return weights / weights.sum()


def _zipf(dice: np.random.Generator, kinds: int, rows: int) -> Any:
    return dice.choice(kinds, rows, p=_shares(1 / np.arange(1, kinds + 1)))
