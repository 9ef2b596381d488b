"""Pages in the order of a metric, from the index of its values: the same cost however many records there are.

The index has a metric's values in order, whoever they belong to. Of its first entries those are kept whose records are asked
for; if they fill the page, it is the page. If the best belong to others, they do not, and all have to be looked at after all:
so this is only tried where there are more records than entries would be looked at.
"""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from registry.catalog.subjects import key_numbers, ordered
from registry.db.session import Session
from registry.filtering import OrderTerm
from registry.filtering.keyset import Keyset, Place
from registry.filtering.subject import Query, Subject

ENTRIES_PER_RECORD = 4
FEWEST_ENTRIES = 1_000


def may_be_best_first(session: Session, subject: Subject, among: Query, terms: Sequence[OrderTerm], *, limit: int) -> bool:
    """Whether `best_first` is worth a try: the order begins with a metric, and `among` are many. At most one statement."""
    if not terms or terms[0].field.space not in subject.spaces or subject.spaces[terms[0].field.space].ranking is None:
        return False
    return bool(session.all(among.limit(1).offset(_entries(limit))))


def best_first(
    session: Session, subject: Subject, query: Query, terms: Sequence[OrderTerm], *, after: Place | None, limit: int
) -> tuple[Query, Keyset] | None:
    """Of what `query` selects, the best by the first term that the index shows at once, and their order.

    If these are `limit` or more, no other record precedes any of them; if fewer, they say nothing. None where `after` is behind
    all records that have a value.
    """
    ranking = subject.ranking(terms[0], key_numbers(session))
    _, [*ranks, key] = ordered(session, subject, query, terms[:1])
    if ranking is None or (after is not None and not _has_value(after, len(ranks))):
        return None
    descending = terms[0].descending
    entries = sa.select(
        ranking.owner.label("owner"), ranking.value.label("best"), sa.literal_column("0", sa.Integer).label("none")
    )
    entries = entries.where(*ranking.where)
    if after is not None:
        bound: sa.BindParameter[float] = sa.literal(after[len(ranks)], sa.Double())
        entries = entries.where(ranking.value <= bound if descending else ranking.value >= bound)
    in_order = ranking.value.desc() if descending else ranking.value.asc()
    top = entries.order_by(in_order).limit(_entries(limit)).cte("top")
    # Of the last value there may be more than the index showed: records with it are not kept.
    last = sa.select(sa.func.min(top.c.best) if descending else sa.func.max(top.c.best)).scalar_subquery()
    query = query.join(top, top.c.owner == subject.id).where(top.c.best > last if descending else top.c.best < last)
    query, rest = ordered(session, subject, query, terms[1:])
    keys = [*(replace(one, value=top.c.none) for one in ranks), replace(key, value=top.c.best, nullable=False), *rest]
    return query, Keyset(keys, subject.id)


def _entries(limit: int) -> int:
    return max(FEWEST_ENTRIES, ENTRIES_PER_RECORD * limit)


def _has_value(place: Place, ranks: int) -> bool:
    """Whether it is among the records that have a value; a forged one is left to the order itself to refuse."""
    return len(place) > ranks and not any(place[:ranks]) and isinstance(place[ranks], float)
