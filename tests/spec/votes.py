"""The voting rule for holds, captures, releases, expiries, reversals and statuses as a small executable specification.

Random programs run through S shards and a coordinator that exchange messages over FIFO queues delivered in random
order, with several rounds open at once, and through a serial interpreter of docs/rules.md that shares no decision with
them. Outcomes with detail, versions, balances, what is left of each hold and what was reversed so far must be equal.
`python3 tests/spec/votes.py 3000 [first seed]`

One exchange per round: prepare -> ballot -> finish. An item is decided by three questions, asked in this order:
1. What it names. The coordinator has a directory of the past: ids, accounts, sides, amounts asked for, expiry, state;
   no balances. Rounds are decided in order, and items in order within, so at that moment every state is exact.
2. What was found when the round was made: hold or original not known, posting_unknown, unbalanced. Shards don't see it.
3. The votes, in order of account as the item names them (accounts that a final capture only frees have no say).

A shard keeps [low, high] of what A and G of each account can be when the item's turn comes, and of each tally:
- left of a hold's posting, GIVEN that the hold was placed and is not closed: captures that are not final lower the low
  end, increases raise the high end, closings do nothing: 1 sees them. A hold in an open round has its own amount left.
- reversed so far of an original's posting: reversals raise the high end.
It runs the whole list of checks at the worst corner (A low, G high, the tally at the end that hurts) and at the best:
the same answer at both is the vote, anything else is `maybe`. Each check looks in one direction only and status is
exact (it changes at barriers), so what both corners say holds everywhere between. For a maybe the ballot has the
account, and every tally on it that an open item names, as of the shard's last finished round; the coordinator runs
just those accounts exactly, through what was accepted since.

The promise of an undecided item: nothing, or its effect on (A, G). An effect that depends on what is left is taken at
the HIGH end of left: captures and releases only raise A and lower G, the more the more is left. An item with a certain
no promises nothing and leaves the tallies alone. Both ends move for an item in no doubt at all: it names nothing, all
its accounts are on this shard, all votes are yes.

Before the items of a round due holds expire. Passed over until a later round is a hold that is undecided itself, or is
named by an undecided release, or by an undecided increase or capture booked before the expiry; so an expiry is never
refused. A release counts whenever it was booked: after the expiry, but before the row of the expiry, it still closes
the hold. A hold whose expiry is in an open round is not due again. A reversal of a capture waits until the capture's
round is finished, and closes the round before it.

RANGE, HOLD_MAX and EXPIRIES are small so that they are met. One asset, one institution, no repeats of ids; limits are
set without a look at balances. Deliberately naive: a shard sweeps all open rounds at each vote.
"""
import copy
import random
import sys
from collections import Counter, deque, namedtuple

RANGE, HOLD_MAX, EXPIRIES = 400, 120, 2  # 2^126 - 1, 2^100 - 1, 1,024
DEBIT, CREDIT = 0, 1
DOUBTS = ["balance_range", "below_floor", "above_ceiling", "exceeds_hold", "exceeds_original", "hold_above_max"]

# post, hold: postings (account, side, amount); increase, capture, reverse: (index, amount). An expiry has no id.
Item = namedtuple("Item", "id kind target postings timeout forced final", defaults=(None, (), 0, False, False))
Change = namedtuple("Change", "action account value")  # value: new fields of the account


class Refused(Exception):
    pass


def need(fact, why, detail=0):
    if not fact:
        raise Refused(why, detail)


class Serial:
    """docs/rules.md, one item after the other, in the plainest way."""

    def __init__(self, accounts):
        self.accounts = {n: dict(a, held=0, incoming=0, version=0) for n, a in accounts.items()}
        self.holds, self.past = {}, {}

    def run(self, what, booked):
        try:
            return "posted", self.change(what) if isinstance(what, Change) else self.item(what, booked)
        except Refused as refused:
            if isinstance(what, Item):
                self.past[what.id] = dict(posted=False)
            return refused.args

    def item(self, item, booked):
        kind, hold, original = item.kind, self.holds.get(item.target), self.past.get(item.target)
        if kind in ("post", "hold"):
            places = {i: (name, side) for i, (name, side, _) in enumerate(item.postings)}
            given = [(i, x) for i, (_, _, x) in enumerate(item.postings)]
        elif kind == "reverse":
            need(original, "original_unknown")
            need(original["posted"], "original_not_posted")
            need(original["kind"] != "reverse", "original_is_reversal")
            need(original["kind"] in ("post", "capture"), "original_not_reversible")
            places = {i: (name, DEBIT if side == CREDIT else CREDIT) for i, name, side, x in original["lines"] if x}
            given = item.postings or [(i, x) for i, _, _, x in original["lines"] if x]
        else:
            need(hold, "hold_unknown")
            need(hold["state"] != "closed", "hold_closed")
            need(hold["state"] != "expired", "hold_expired")
            need(kind in ("release", "expiry") or not hold["expiry"] or booked < hold["expiry"], "hold_expired")
            places = hold["places"]
            given = list(hold["left"].items()) if kind == "capture" and not item.postings else item.postings
        need(all(i in places for i, _ in given), "posting_unknown")
        lines = [(i, *places[i], x) for i, x in given]  # (index, account, side, amount)
        need(sum(x if side == DEBIT else -x for _, _, side, x in lines) == 0, "unbalanced")
        for name in dict.fromkeys(name for _, name, _, _ in lines):
            self.check(item, self.accounts.get(name), [line for line in lines if line[1] == name], hold, original)
        if kind != "expiry":
            self.past[item.id] = dict(posted=True, kind=kind, lines=lines, reversed=Counter())
        if kind == "hold":
            expiry = booked + item.timeout if item.timeout else None
            self.holds[item.id] = hold = dict(state="open", places=places, left=dict.fromkeys(places, 0), expiry=expiry)
        return self.effects(item, places, {i: x for i, _, _, x in lines}, hold, original)

    def check(self, item, a, mine, hold, original):
        first, sides, forced = mine[0][0], [side for _, _, side, _ in mine], item.forced
        need(a, "account_unknown", first)
        need(a["status"] != "closed", "account_closed", first)
        if item.kind != "capture":
            for side, status in ((DEBIT, "debit-frozen"), (CREDIT, "credit-frozen")):
                fine = forced or side not in sides or a["status"] not in (status, "frozen")
                need(fine, "account_debit_frozen" if side == DEBIT else "account_credit_frozen", first)
            onto = sum(x for _, _, side, x in mine if side == a["normal"])
            off = sum(x for _, _, side, x in mine if side != a["normal"])
            d_a, d_g = (-off, onto) if item.kind in ("hold", "increase") else (onto - off, onto - off)
            available, gross = a["posted"] - a["held"] + d_a, a["posted"] + a["incoming"] + d_g
            need(d_a >= 0 or available >= -RANGE, "balance_range", first)
            need(d_g <= 0 or gross <= RANGE, "balance_range", first)
            need(forced or d_a >= 0 or a["floor"] is None or available >= a["floor"], "below_floor", first)
            need(forced or d_g <= 0 or a["ceiling"] is None or gross <= a["ceiling"], "above_ceiling", first)
        for i, _, _, x in mine:
            full = dict((line[0], line[3]) for line in original["lines"])[i] if item.kind == "reverse" else 0
            need(item.kind != "capture" or x <= hold["left"][i], "exceeds_hold", first)
            need(item.kind != "reverse" or x <= full - original["reversed"][i], "exceeds_original", first)
            need(item.kind != "increase" or hold["left"][i] + x <= HOLD_MAX, "hold_above_max", first)

    def effects(self, item, places, amounts, hold, original):
        entries, kind = [], item.kind
        closes = kind in ("release", "expiry") or kind == "capture" and (item.final or not item.postings)
        for i, (name, side) in places.items():
            a, x = self.accounts[name], amounts.get(i, 0)
            freed = hold["left"][i] - x if closes else 0
            post = 0 if kind in ("hold", "increase") else x
            reserve = 0 if kind in ("post", "reverse") else x if kind in ("hold", "increase") else -x - freed
            if post or reserve:
                a["posted"] += post if side == a["normal"] else -post
                a["incoming" if side == a["normal"] else "held"] += reserve
                a["version"] += 1
                entries.append((i, a["version"], a["posted"], a["held"], a["incoming"]))
            if kind == "reverse":
                original["reversed"][i] += x
            elif kind != "post":
                hold["left"][i] += reserve
        if closes:
            hold["state"] = "expired" if kind == "expiry" else "closed"
        return entries

    def change(self, change):
        a = self.accounts.get(change.account)
        need(a, "account_unknown")
        need(change.action == "reopen" or a["status"] != "closed", "account_closed")
        need(change.action != "reopen" or a["status"] == "closed", "account_not_closed")
        need(change.action != "close" or a["posted"] == a["held"] == a["incoming"] == 0, "account_not_empty")
        a.update(change.value, version=a["version"] + 1)
        return a["version"]


# ---- The sharded path. It uses nothing from above but items and constants.

# amount: None = all that is left, 0 = not named but freed by a final capture. asked: amount in the hold or original
Posting = namedtuple("Posting", "index account side amount asked")
Work = namedtuple("Work", "key id kind target forced final postings")  # an item as shards see it, or their part of it


def tally_of(work, posting):
    return work.id if work.kind == "hold" else work.target, posting.index


class Account:
    def __init__(self, normal, floor, ceiling, status, posted):
        self.normal, self.floor, self.ceiling, self.status, self.posted = normal, floor, ceiling, status, posted
        self.held = self.incoming = self.version = 0

    def ends(self):
        return self.posted - self.held, self.posted + self.incoming

    def effect(self, work, posting, tallies):
        """Of an accepted item through one posting: on posted, held, incoming and the tally; and what is captured."""
        left, x = tallies.get(tally_of(work, posting), 0), posting.amount
        captured = left if x is None else x
        post, reserve = {"post": (x, 0), "reverse": (x, 0), "hold": (0, x), "increase": (0, x), "release": (0, -left),
                         "expiry": (0, -left), "capture": (captured, -left if work.final else -captured)}[work.kind]
        tally = x if work.kind == "reverse" else reserve
        return (post, 0, reserve, tally, post) if posting.side == self.normal else (-post, reserve, 0, tally, post)

    def total(self, work, name, tallies):
        """Effect of an item on (A, G)."""
        effects = [self.effect(work, p, tallies) for p in work.postings if p.account == name]
        return sum(p - o for p, o, _, _, _ in effects), sum(p + i for p, _, i, _, _ in effects)

    def apply(self, work, posting, tallies):
        """The only place where balances and tallies change, in a shard and in the exact run of the coordinator."""
        post, held, incoming, tally, captured = self.effect(work, posting, tallies)
        if not (post or held or incoming):
            return []
        self.posted, self.held, self.incoming = self.posted + post, self.held + held, self.incoming + incoming
        self.version += 1
        if tally:
            tallies[tally_of(work, posting)] = tallies.get(tally_of(work, posting), 0) + tally
        return [((posting.index, self.version, self.posted, self.held, self.incoming), captured)]


def checks(account, work, name, available, gross, tallies):
    """All checks of an item on one account, in order."""
    mine = [p for p in work.postings if p.account == name and p.amount != 0]
    if work.kind in ("release", "expiry") or not mine:
        return
    yield account is None, "account_unknown"
    yield account.status == "closed", "account_closed"
    if work.kind != "capture":
        debit, credit = (not work.forced and any(p.side == side for p in mine) for side in (DEBIT, CREDIT))
        yield debit and account.status in ("debit-frozen", "frozen"), "account_debit_frozen"
        yield credit and account.status in ("credit-frozen", "frozen"), "account_credit_frozen"
        da, dg = account.total(work, name, tallies)
        yield da < 0 and available + da < -RANGE or dg > 0 and gross + dg > RANGE, "balance_range"
        if not work.forced:
            yield da < 0 and account.floor is not None and available + da < account.floor, "below_floor"
            yield dg > 0 and account.ceiling is not None and gross + dg > account.ceiling, "above_ceiling"
    for p, tally in ((p, tallies.get(tally_of(work, p), 0)) for p in mine):
        yield work.kind == "capture" and p.amount is not None and p.amount > tally, "exceeds_hold"
        yield work.kind == "reverse" and tally + p.amount > p.asked, "exceeds_original"
        yield work.kind == "increase" and tally + p.amount > HOLD_MAX, "hold_above_max"


def judge(*of):
    return next((why for failed, why in checks(*of) if failed), "yes")


class Part:
    """What one shard has to do with one item."""

    def __init__(self, work, alone):
        self.work, self.alone, self.ballot, self.bounds = work, alone, {}, {}
        self.names = list(dict.fromkeys(p.account for p in work.postings))


class Shard:
    """Owns accounts and the tallies of postings on them. Balances change only in `finish`."""

    def __init__(self, accounts, doubts):
        self.accounts, self.tallies, self.open, self.finished, self.doubts = accounts, {}, {}, -1, doubts

    def prepare(self, number, parts):
        low, least = {n: a.ends() for n, a in self.accounts.items()}, dict(self.tallies)
        high, most = dict(low), dict(least)
        self.open[number] = parts
        for r, part in ((r, p) for r in sorted(self.open) for p in self.open[r]):
            work = part.work
            if r == number:
                self.vote(part, low, high, least, most)
            if any(v not in ("yes", "maybe") for v in part.ballot.values()):
                continue  # certainly refused: leaves the intervals as they were
            certain = part.alone and work.target is None and all(v == "yes" for v in part.ballot.values())
            for name in (n for n in part.names if n in self.accounts):  # an undecided hold may have an unknown account
                effect = self.accounts[name].total(work, name, most)
                low[name] = tuple(x + (e if certain else min(e, 0)) for x, e in zip(low[name], effect))
                high[name] = tuple(x + (e if certain else max(e, 0)) for x, e in zip(high[name], effect))
            for p, tally in ((p, tally_of(work, p)) for p in work.postings):
                if work.kind == "hold":
                    least[tally] = most[tally] = p.amount
                elif work.kind == "capture" and not work.final:
                    least[tally] = least.get(tally, 0) - p.amount
                elif work.kind in ("increase", "reverse"):
                    most[tally] = most.get(tally, 0) + p.amount
        shaky, works = {}, [p.work for r in self.open.values() for p in r]
        for name in {n for p in parts for n, v in p.ballot.items() if v == "maybe"}:
            named = {tally_of(w, p) for w in works for p in w.postings if p.account == name}
            shaky[name] = copy.copy(self.accounts[name]), {t: self.tallies[t] for t in named if t in self.tallies}
        return self.finished, {p.work.key: p.ballot for p in parts}, shaky

    def vote(self, part, low, high, least, most):
        hurts, helps = (least, most) if part.work.kind == "capture" else (most, least)
        for name in part.names:
            account, bottom, top = self.accounts.get(name), low.get(name, (0, 0)), high.get(name, (0, 0))
            worst = judge(account, part.work, name, bottom[0], top[1], hurts)
            best = judge(account, part.work, name, top[0], bottom[1], helps)
            part.ballot[name] = worst if worst == best else "maybe"
            self.doubts[worst] += worst != best
            tallies = [tally_of(part.work, p) for p in part.work.postings if p.account == name]
            part.bounds[name] = bottom, top, [(t, least.get(t, 0), most.get(t, 0)) for t in tallies]

    def finish(self, number, accepted):
        self.finished, results = number, {}
        for part in self.open.pop(number):
            for name, (bottom, top, tallies) in part.bounds.items():  # low <= true <= high when the turn comes
                true = self.accounts[name].ends() if name in self.accounts else bottom
                assert all(a <= x <= b for a, x, b in zip(bottom, true, top)), "a balance is outside its interval"
                if part.work.key in accepted:
                    assert all(a <= self.tallies.get(t, 0) <= b for t, a, b in tallies), "a tally is outside its own"
            if part.work.key in accepted:
                done = [self.accounts[p.account].apply(part.work, p, self.tallies) for p in part.work.postings]
                results[part.work.key] = sum(done, [])
        return results

    def change(self, change):
        account = self.accounts.get(change.account)
        if account is None:
            return "account_unknown", 0
        if (account.status == "closed") != (change.action == "reopen"):
            return ("account_not_closed" if change.action == "reopen" else "account_closed"), 0
        if change.action == "close" and (account.posted, account.held, account.incoming) != (0, 0, 0):
            return "account_not_empty", 0
        vars(account).update(change.value, version=account.version + 1)
        return "posted", account.version


class Row:
    """A sequenced item, and what items that name it must know: state, expiry, index -> (account, side, amount)."""

    def __init__(self, key, item, booked, named):
        self.key, self.item, self.booked, self.named = key, item, booked, named  # named: row of its hold or original
        self.work = self.why = self.asked = None  # work for shards, or why it was refused when the round was made
        self.state, self.expiring = "undecided", False  # undecided, refused, open, closed, expired
        self.expiry = booked + item.timeout if item.timeout else None

    def accepted(self):
        return self.state not in ("undecided", "refused")


class Coordinator:
    def __init__(self, stream):
        self.stream, self.directory, self.rounds, self.log = deque(stream), {}, [], []
        self.decided, self.last, self.keys, self.results, self.answers = 0, 0, 0, {}, Counter()

    def due(self, time, undecided):
        """Holds that expire now, and those that are passed over."""
        due, passed = [], set()
        for id, hold in self.directory.items():
            if hold.expiry and hold.expiry <= time and hold.state in ("undecided", "open") and not hold.expiring:
                naming = [r for r in undecided if r.named is hold]
                if hold.state == "undecided" or any(r.item.kind == "release" for r in naming) or any(
                        r.item.kind in ("increase", "capture") and r.booked < hold.expiry for r in naming):
                    passed.add(id)
                else:
                    due.append((hold.expiry, id))
        return [id for _, id in sorted(due)[:EXPIRIES]], passed

    def make(self, size, now):
        """The next round: due expiries, then up to `size` items."""
        time, undecided = max(now, self.last + 1), [row for rows in self.rounds[self.decided:] for row in rows]
        rows, (due, passed) = [], self.due(time, undecided)
        for id in due:
            self.directory[id].expiring = True
            rows.append(self.expand(Item(None, "expiry", id), time + len(rows)))
        while self.stream and size and isinstance(self.stream[0], Item) and not self.must_wait(self.stream[0]):
            rows.append(self.expand(self.stream.popleft(), time + len(rows)))
            size -= 1
        if rows:
            self.last = time + len(rows) - 1
            self.log.append((time, passed, undecided, rows))
            self.rounds.append(rows)
        return rows

    def must_wait(self, item):
        original = self.directory.get(item.target)
        return item.kind == "reverse" and original and original.item.kind == "capture" and original.asked is None

    def expand(self, item, booked):
        row, kind = Row(self.keys, item, booked, self.directory.get(item.target)), item.kind
        other, own, final = row.named and row.named.item.kind, kind in ("post", "hold"), item.final or not item.postings
        if kind == "reverse" and other not in ("post", "capture"):
            others = {None: "original_unknown", "reverse": "original_is_reversal"}
            row.why = others.get(other, "original_not_reversible")
        elif not own and kind != "reverse" and other != "hold":
            row.why, row.named = "hold_unknown", None
        known = dict(enumerate(item.postings)) if own else {} if row.why else row.named.asked
        if own or not item.postings:
            given = {i: x if own or kind == "reverse" else None for i, (_, _, x) in known.items()}
        else:
            given = {**(dict.fromkeys(known, 0) if final else {}), **dict(item.postings)}
        postings = [Posting(i, known[i][0], known[i][1] ^ (kind == "reverse"), given[i], known[i][2])
                    for i in sorted(given) if i in known]
        if len(postings) < len(given):
            row.why = row.why or "posting_unknown"
        elif sum((p.amount or 0) * (1 if p.side == DEBIT else -1) for p in postings):
            row.why = row.why or "unbalanced"
        if not row.why:
            row.work = Work(row.key, item.id, kind, item.target, item.forced, final, postings)
        if kind != "expiry":
            row.asked = None if kind == "capture" else known
            self.directory[item.id] = row
        self.keys += 1
        return row

    def refused_for_state(self, row):
        kind, state = row.item.kind, row.named.state if row.named else None
        assert state != "undecided"
        if kind == "reverse":
            return "original_not_posted" if state == "refused" else None
        if state == "open" and kind in ("increase", "capture") and row.named.expiry and row.booked >= row.named.expiry:
            return "hold_expired"
        return {"refused": "hold_unknown", "closed": "hold_closed", "expired": "hold_expired"}.get(state)

    def decide(self, number, ballots):
        """Exact decisions for one round, once all its ballots are in and all earlier rounds are decided."""
        vote, run, tallies = {}, {}, {}
        for finished, votes, shaky in ballots:
            for key, names in votes.items():
                vote.setdefault(key, {}).update(names)
            for name, (run[name], shipped) in shaky.items():
                tallies.update(shipped)
                for row in (row for rows in self.rounds[finished + 1:number] for row in rows if row.accepted()):
                    for p in (p for p in row.work.postings if p.account == name):
                        run[name].apply(row.work, p, tallies)
        for row in self.rounds[number]:
            why, detail, work = self.refused_for_state(row) or row.why, 0, row.work
            for p in (p for p in work.postings if p.amount != 0) if not why else ():
                v = vote[row.key][p.account]
                if v == "maybe":
                    v = judge(run[p.account], work, p.account, *run[p.account].ends(), tallies)
                if v != "yes":  # the first that is not a yes speaks
                    why, detail = v, p.index
                    break
            row.state = "refused" if why else "open"
            self.results[row.key] = (why, detail) if why else ("posted", [])
            if not why and work.kind in ("capture", "release", "expiry") and work.final:
                row.named.state = "expired" if work.kind == "expiry" else "closed"
            for p in (p for p in work.postings if p.account in run) if not why else ():
                run[p.account].apply(work, p, tallies)
            assert row.item.kind != "expiry" or not why, "an expiry is never refused"
        self.decided = number + 1
        return {row.key for row in self.rounds[number] if row.accepted()}

    def finished(self, number, shard_count, results):
        self.answers[number] += 1
        for key, entries in results.items():
            self.results[key][1].extend(entries)
        for row in self.rounds[number] if self.answers[number] == shard_count else ():
            done = sorted(self.results[row.key][1]) if row.accepted() else []
            if row.item.kind == "capture":
                row.asked = {entry[0]: (*row.named.asked[entry[0]][:2], x) for entry, x in done if x}
            if row.accepted():
                self.results[row.key] = "posted", [entry for entry, _ in done]


def run_sharded(accounts, stream, shard_count, open_rounds, rng, doubts):
    home = {name: rng.randrange(shard_count) for name in [*accounts, UNKNOWN]}
    shards = [Shard({n: Account(**a) for n, a in accounts.items() if home[n] == s}, doubts) for s in range(shard_count)]
    down, up = [deque() for _ in shards], [deque() for _ in shards]
    chief, ballots, barrier = Coordinator(stream), {}, False
    while chief.stream or any(down) or any(up):
        moves = [("down", s) for s in range(shard_count) if down[s]] + [("up", s) for s in range(shard_count) if up[s]]
        if chief.stream and not barrier and len(chief.rounds) - chief.decided < open_rounds:
            moves.append(("open", None))
        move, s = rng.choice(moves)
        if move == "open" and isinstance(chief.stream[0], Change):
            if all(chief.answers[r] == shard_count for r in range(len(chief.rounds))):
                barrier, change = True, chief.stream.popleft()
                down[home[change.account]].append(("change", change))
        elif move == "open":
            number, now = len(chief.rounds), chief.last + rng.choice([0, 0, 2, 5, 20])
            works = [row.work for row in chief.make(rng.choice([0, 1, 2, 5, 20]), now)]
            for s in range(shard_count if works else 0):
                mine = [[p for p in w.postings if home[p.account] == s] if w else [] for w in works]
                parts = [Part(w._replace(postings=m), len(m) == len(w.postings)) for w, m in zip(works, mine) if m]
                down[s].append(("prepare", number, parts))
        elif move == "down":
            what, *load = down[s].popleft()
            up[s].append((what, load[0], getattr(shards[s], what)(*load)))
        else:
            what, number, answer = up[s].popleft()
            if what == "change":
                barrier = False
                chief.log.append((number, answer))
            elif what == "finish":
                chief.finished(number, shard_count, answer)
            else:
                ballots.setdefault(number, []).append(answer)
                while len(ballots.get(number := chief.decided, ())) == shard_count:
                    accepted = chief.decide(number, ballots[number])
                    for queue in down:
                        queue.append(("finish", number, accepted))
    return shards, chief


def compare(accounts, shards, chief, outcomes):
    """The log in its order through the serial interpreter: the same results, every expiry due, none forgotten."""
    serial = Serial(accounts)
    for head, *rest in chief.log:
        if isinstance(head, Change):
            outcomes["change", rest[0][0]] += 1
            assert rest[0] == serial.run(head, None), (head, rest[0])
            continue
        passed, undecided, rows = rest
        due = sorted((h["expiry"], id) for id, h in serial.holds.items()
                     if h["state"] == "open" and h["expiry"] and h["expiry"] <= head and id not in passed)
        assert [id for _, id in due[:EXPIRIES]] == [r.item.target for r in rows if r.item.kind == "expiry"], "expiries"
        assert passed <= {id for r in undecided for id in (r.item.id, r.item.target)}, "passed over without need"
        outcomes["expiry", "passed over"] += len(passed)
        for row in rows:
            expected = serial.run(row.item, row.booked)
            outcomes[row.item.kind, expected[0]] += 1
            assert chief.results[row.key] == expected, (row.item, chief.results[row.key], expected)
    for name, a in ((name, a) for shard in shards for name, a in shard.accounts.items()):
        assert vars(a) == serial.accounts[name], (name, vars(a), serial.accounts[name])
    left = {(id, i): x for id, h in serial.holds.items() for i, x in h["left"].items() if x}
    back = {(id, i): x for id, p in serial.past.items() if p["posted"] for i, x in p["reversed"].items() if x}
    assert {t: x for shard in shards for t, x in shard.tallies.items() if x} == left | back, "tallies"
    holds = {id: row.state for id, row in chief.directory.items() if row.item.kind == "hold" and row.accepted()}
    assert holds == {id: h["state"] for id, h in serial.holds.items()}, "states of holds"


UNKNOWN = 99  # an account that does not exist


def random_program(seed):
    """Few accounts, tight limits, and items that name what has just been asked for."""
    rng = random.Random(seed)
    names = range(rng.choice([2, 3, 4, 8]))
    statuses = ["open"] * 6 + rng.choice([["open"], ["debit-frozen", "credit-frozen", "frozen"]])
    accounts = {n: dict(normal=rng.choice([DEBIT, CREDIT, CREDIT]), floor=rng.choice([0, 0, -50, None]),
                        ceiling=rng.choice([None, None, 150, 250]), status=rng.choice(statuses),
                        posted=rng.choice([-100, 0, 50, 100, 150, 300])) for n in names}
    accounts[guest := len(names)] = dict(normal=CREDIT, floor=None, ceiling=None, status="open", posted=0)
    kinds = rng.choice([["post"] * 4 + ["hold"] * 3 + ["increase"] + ["capture", "reverse"] * 2 + ["release"],
                        ["post"] + ["hold"] * 2 + ["capture"] * 3 + ["increase"] * 2 + ["release"],
                        ["post"] * 2 + ["hold"] + ["capture"] * 2 + ["reverse"] * 3])
    spans, changes = rng.choice([[0], [0, 1, 3, 8], [2, 8, 20, 40]]), rng.choice([0, 0, 0.03, 0.1])
    count, force, stream, sides = rng.choice([10, 40, 100]), rng.choice([0.05, 0.4]), [], {}  # sides: id -> of postings
    ids = rng.sample(range(1000), count + 10)

    def target(*wanted):
        fit = [i.id for i in stream if isinstance(i, Item) and i.kind in wanted]
        return rng.choice([*fit[-2:] * 3, *fit[-6:]] if fit and rng.random() < 0.97 else ids)

    def amounts(to):
        both = [[i for i, s in enumerate(sides.get(to, [DEBIT, CREDIT])) if s == side] for side in (DEBIT, CREDIT)]
        x, odd = rng.choice([1, 10, 20, 40, 90]), rng.random()
        return sorted((7 if odd < 0.01 else rng.choice(b), x) for b in (both[:1] if odd < 0.03 else both))

    while len(stream) < count:
        id, kind, forced = ids[len(stream)], rng.choice(kinds), rng.random() < force
        if rng.random() < changes:
            action, status = rng.choice([("status", rng.choice(statuses)), ("close", "closed"), ("reopen", "open")])
            limits = rng.choice([{"floor": rng.choice([None, 0, 50])}, {"ceiling": rng.choice([None, 150])}])
            change = rng.choice([(action, {"status": status}), ("limits", limits)])
            stream.append(Change(change[0], rng.choice([*names, *names, guest, UNKNOWN]), change[1]))
        elif rng.random() < changes / 5:  # a closed account that has a hold with nothing left, and posts to turn back
            (a, b, c, d, e), host, all_left = ids[len(stream):][:5], rng.choice(names), [(0, 40), (1, 40)]
            stream += [Item(a, "hold", None, [(guest, DEBIT, 40), (host, CREDIT, 40)], 0, True),
                       Item(b, "capture", a, all_left),
                       Item(c, "post", None, [(host, DEBIT, 40), (guest, CREDIT, 40)], 0, True),
                       Change("close", guest, {"status": "closed"}),
                       Item(d, rng.choice(["capture", "increase"]), a, all_left),
                       Item(e, "reverse", rng.choice([b, c])), Change("reopen", guest, {"status": "open"})]
        elif kind in ("post", "hold"):
            way, x, y = rng.sample([DEBIT, CREDIT], 2), rng.choice([1, 10, 40, 90]), rng.choice([10, 40])
            postings = [(rng.choice(names), way[0], x), (rng.choice(names), way[1], x + (rng.random() < 0.02))]
            if rng.random() < 0.4:
                far = rng.choice([*names, UNKNOWN] if rng.random() < 0.2 else names)
                postings += [(rng.choice(names), way[0], y), (far, way[1], y)][::rng.choice([1, -1])]
            stream.append(Item(id, kind, None, postings, rng.choice(spans) if kind == "hold" else 0, forced))
            sides[id] = [p[1] for p in postings]
        else:
            odd = ["hold", "increase", "release", "reverse"] if rng.random() < 0.05 else ["post", "capture"]
            to, some = target(*odd) if kind == "reverse" else target("hold"), kind != "release" and rng.random() < 0.7
            stream.append(Item(id, kind, to, amounts(to) if kind == "increase" or some else (), 0,
                               forced and kind in ("increase", "reverse"), kind == "capture" and rng.random() < 0.3))
            sides[id] = sides.get(to, [DEBIT, CREDIT])
    return rng, accounts, stream


if __name__ == "__main__":
    count, first = [int(a) for a in sys.argv[1:] + ["300", "0"][len(sys.argv) - 1:]]
    doubts, outcomes = Counter(), Counter()
    for seed in range(first, first + count):
        rng, accounts, stream = random_program(seed)
        shard_count, open_rounds = rng.choice([1, 2, 3, 5]), rng.choice([1, 2, 3])
        try:
            compare(accounts, *run_sharded(accounts, stream, shard_count, open_rounds, rng, doubts), outcomes)
        except AssertionError as e:
            raise AssertionError(f"seed {seed} differs from serial") from e
    for kind in sorted({kind for kind, _ in outcomes}):
        print(f"{kind}: " + ", ".join(f"{why} {n}" for (k, why), n in outcomes.most_common() if k == kind))
    print("votes in doubt: " + ", ".join(f"{why} {doubts[why]}" for why in DOUBTS))
    assert all(doubts[why] for why in DOUBTS), "some kind of vote was never in doubt: this proves nothing about it"
    print(f"{count} programs from seed {first} equal serial execution")
