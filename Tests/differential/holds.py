"""What a client of a transaction pool can rely on: the one table of it. In a session pool all of it holds.

Stories (`story_grammar.py`) are made of this only, so that each difference is a finding. When the pooler learns to keep more, a row changes
here, and all stories have it. `run.py --also NAME,NAME` makes stories with what does not hold yet.
"""


class Setting:
    """A run-time parameter with values that PostgreSQL takes, in a startup packet as well as in a SET.

    reported    PostgreSQL tells it by ParameterStatus: a SET follows its client from server to server
    refused     values that PostgreSQL refuses
    """

    def __init__(self, name, *values, reported=False, refused=()):
        self.name, self.values, self.reported, self.refused = name, values, reported, refused


# What literals and outputs look like.
VALUES = [
    Setting("DateStyle", "ISO", "iso, mdy", "SQL, DMY", "SQL", "DMY", "German", "Postgres, MDY", "YMD", "ISO, DMY", reported=True, refused=("nonsense", "ISO, SQL")),
    Setting("TimeZone", "UTC", "Asia/Tokyo", "asia/kolkata", "EST5EDT", "Europe/Vienna", "+3", "<-03>3", reported=True, refused=("Mars/Olympus",)),
    Setting("IntervalStyle", "postgres", "ISO_8601", "sql_standard", "postgres_verbose", reported=True, refused=("fortnights",)),
    Setting("client_encoding", "UTF8", "LATIN1", "utf-8", "latin-1", "EUC_JP", "WIN1252", reported=True, refused=("klingon",)),
    Setting("standard_conforming_strings", "on", "off", "false", reported=True, refused=("perhaps",)),
    Setting("application_name", "shop", "a b'c", "x" * 80, "ca\u00e9", "", reported=True),
    Setting("extra_float_digits", "0", "3", "-5", refused=("99",)),
    Setting("bytea_output", "escape", "hex", "HEX", refused=("octal",)),
    Setting("statement_timeout", "77s", "0", "5min", "123456", refused=("-5",)),
    Setting("lock_timeout", "66s", "0"),
    Setting("work_mem", "5MB", "1024", refused=("1kB",)),
    Setting("array_nulls", "on", "off"),
    Setting("quote_all_identifiers", "on", "off"),
    Setting("app.tenant", "Tom", "tim", "", "O'Neill, \"x\""),
]
# Which objects a name means.
NAMES = [
    Setting("search_path", "one", "two", "one, public", "two, one", '"$user", public', '"$user", one', "nowhere", "", "public", "tb, one"),
    Setting("role", "ta", "tb", "lo", refused=("nobody",)),
]
SETTINGS = {setting.name: setting for setting in VALUES + NAMES}


class Feature:
    """Something a client may do. `transaction`: it holds in a transaction pool; `session`: in a session pool; `why` if not."""

    def __init__(self, name, transaction=True, session=True, why=""):
        self.name, self.transaction, self.session, self.why = name, transaction, session, why


FEATURES = {
    feature.name: feature
    for feature in [
        Feature("startup values"),
        Feature("refused startup values"),
        Feature("a partial DateStyle at the login"),
        Feature("two startup values that are refused", False, False, why="PostgreSQL names that of the options first"),
        Feature("SET of a reported parameter"),
        Feature("SET of an unreported parameter", transaction=False, why="it stays on the server (session_isolation)"),
        Feature("SET ROLE", transaction=False, why="it stays on the server (session_isolation)"),
        Feature("SET in a transaction that is rolled back"),
        Feature("SET LOCAL"),
        Feature("SET LOCAL ROLE"),
        Feature("RESET of a parameter"),
        Feature("RESET of what the client brought"),
        Feature("RESET ALL behind SET ROLE"),
        Feature("set_config"),
        Feature("set_config of a reported parameter outside a transaction"),
        Feature("SET LOCAL TO DEFAULT", session=False, why="application_name and custom names are set by SET there, too"),
        Feature("a custom name that nobody has set", False, False, why="a SET of another client leaves an empty string on the server, which DISCARD ALL does not take away (session_isolation)"),
        Feature("bytes that are no UTF-8 in startup values"),
        Feature("prepared statements"),
        Feature("a statement prepared before DDL"),
        Feature("statement names under another client_encoding"),
        Feature("SQL PREPARE within a transaction"),
        Feature("SQL PREPARE", transaction=False, why="it stays on the server"),
        Feature("temporary tables within a transaction"),
        Feature("temporary tables", transaction=False, why="they stay on the server"),
        Feature("RECONNECT"),
        Feature("DDL"),
        Feature("DDL past the pooler"),
    ]
}


def held(mode, also=(), without=()):
    """The names of what holds in such a pool."""
    return {name for name, feature in FEATURES.items() if (getattr(feature, mode) or name in also) and name not in without}
