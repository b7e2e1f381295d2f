"""What a startup packet may hold, and what it is refused for: PostgreSQL itself, asked directly, is the measure of each answer."""
import re

import pytest

import tls
import wire
from postgres import password_of

pytestmark = [pytest.mark.poolers_only, pytest.mark.sluice_only("PgBouncer refuses in words, and for reasons, of its own")]

USER, SUPERUSER = [("user", "app"), ("database", "lab")], [("user", "postgres"), ("database", "lab")]


def answer(client, packet, user="app"):
    """What comes of a packet: SQLSTATE, text, detail and hint of the refusal, or the values that tests look at.

    A pooler may find out with the first query what a server thinks of a value, but must not run it regardless.
    """
    client.user, client.password = user, password_of(user)
    client.send(packet)
    try:
        client.login()
        client.send(wire.query("select current_setting('work_mem'), current_setting('datestyle'), current_setting('enable_seqscan')"))
        reply = client.read_until("Z", "E").check()
        return reply.rows
    except wire.ServerError as e:
        assert e.severity == "FATAL"
        # before PostgreSQL 18 that was all
        text = e.message.replace("server supports 3.0 to 3.0", "server supports 3.0 to 3.2")
        return (e.code, text, e.fields.get("D"), e.fields.get("H"))


def compare(pooler, postgres, packet, user="app"):
    """The same answer, directly and through the pooler."""
    with wire.Client(("127.0.0.1", postgres.port) if user == "app" else postgres.socket_path, login=False) as direct:
        expected = answer(direct, packet, user)
    got = answer(pooler.raw(), packet, user)
    assert got == expected
    return expected


@pytest.fixture
def pooler(make_pooler, postgres):
    return make_pooler(databases={"lab": {}, "*": {}})


@pytest.fixture
def as_superuser(make_pooler, postgres):
    """`postgres`, who is let in without a password on both ways."""
    return make_pooler(databases={"lab": {"host": postgres.socket_dir}}, users={"postgres": "x"}, auth_type="trust")


# --- before the login --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [4 << 16, 5 << 16, 0, 1234 << 16 | 5000, 0x7FFF0000, 0xFFFFFFFF], ids=hex)
def test_a_protocol_that_nobody_speaks_is_not_supported(pooler, postgres, protocol):
    assert compare(pooler, postgres, wire.startup_packet(USER, protocol))[0] == "0A000"


@pytest.mark.parametrize("pairs", [[("database", "lab")], [("user", ""), ("database", "lab")], []], ids=["none", "empty", "nothing at all"])
def test_a_login_without_a_user_is_refused(pooler, postgres, pairs):
    assert compare(pooler, postgres, wire.startup_packet(pairs))[0] == "28000"


@pytest.mark.parametrize("value", ["maybe", "", "o", "2", "Database", "datab"])
def test_a_senseless_replication_is_refused(pooler, postgres, value):
    assert compare(pooler, postgres, wire.startup_packet(USER + [("replication", value)]))[0] == "22023"


@pytest.mark.parametrize("value", ["off", "false", "no", "0", "of", "f"])
def test_replication_may_be_denied_in_many_words(pooler, postgres, value):
    assert isinstance(compare(pooler, postgres, wire.startup_packet(USER + [("replication", value)])), list)


# --- names -------------------------------------------------------------------------------------------------------------


def test_a_database_name_ends_after_63_bytes(make_pooler, postgres):
    """psql -d with 70 letters gets into the database that CREATE DATABASE made of the same 70."""
    name = "d" * 63
    postgres.sql(f"create database {name}")
    try:
        pooler = make_pooler(databases={name: {"dbname": name}})
        for asked in (name, name + "d", name + "tail" * 100):
            c = pooler.connect(database=asked)
            assert c.value("select current_database()") == name
            c.terminate()
        automatic = make_pooler(databases={"*": "host=127.0.0.1 port=%d" % postgres.port})
        assert automatic.connect(database=name + "and more").value("select current_database()") == name
        pooler.stop()
        automatic.stop()
    finally:
        postgres.sql(f"drop database {name} with (force)")


def test_a_long_name_of_no_database_is_told_as_it_was_cut(make_pooler):
    pooler = make_pooler()
    with pytest.raises(wire.ServerError) as e:
        pooler.connect(database="x" * 70)
    assert e.value.message == "no such database: " + "x" * 63
    # in the middle of a character: no database has such a name, and nobody crashes over it
    with pytest.raises(wire.ServerError) as e:
        pooler.connect(database="ä" * 40)
    assert e.value.message.startswith("no such database: " + "ä" * 31)


# --- options: a command line for the server ------------------------------------------------------------------------------

SWITCHES = [
    "-e", "-S 2048", "-S2048", "-f s", "-fs", "-f si", "-es -c work_mem=3MB", "-ec work_mem=3MB", "-e-work_mem=3MB", "--", "-c work_mem=3MB --", "-W 0", "-P", "-j", "-n", "-T",
    "-E", "-b", "-D /x", "-C x", "-r /tmp/x", "-v 3", "-c\twork_mem=3MB\n", "-c work-mem=3MB", "--work-mem=3MB", "-c Work_Mem=3MB", "-c x.y=1", "-c a.b.c=1",
]
REFUSED = [
    "-c", "-c work_mem", "--work_mem", "--work_mem 3MB", "-ec work_mem", "--help", "--version", "-c a b=c", "-c work_mem=3MB x", "x -e", "x", "-", "-- work_mem", "-e -- x y",
    "\\", "-c work_mem=3MB -c", "-d", "-B", "-p", "-S", "-t", "-f", "-t x", "-tx", "-f x", "-fx", "-x", "-Z", "-?", "-V", "-u", "-a", "-A 1", "-g", "-E=x", "-e -E=x", "-c =3", "-c=3", "--=3",
    "-S x", "-W x", "-c work_mem=x", "-c work_mem=", "--work_mem=", "-c work_mem=\\", "-c datestyle=nix",
    "-s", "-t pa", "-t pl", "-t e", "-d 1", "-d x", "-O",
    "-B 100", "-F", "-h x", "-i", "-k x", "-l", "-N 10", "-p 5", "-c shared_buffers=1MB", "-c fsync=off", "-c max_connections=3",
]


@pytest.mark.parametrize("options", SWITCHES)
def test_the_switches_of_postgres_are_taken(pooler, postgres, options):
    packet = wire.startup_packet(USER + [("options", options)])
    if "-es" in options:  # -s is for superusers
        assert compare(pooler, postgres, packet)[0] == "42501"
        return
    assert isinstance(compare(pooler, postgres, packet), list)


@pytest.mark.parametrize("options", REFUSED)
def test_options_are_refused_as_postgresql_refuses_them(pooler, postgres, options):
    assert isinstance(compare(pooler, postgres, wire.startup_packet(USER + [("options", options)])), tuple)


@pytest.mark.parametrize("options, setting, value", [
    ("-d 2", "log_min_messages", "debug2"), ("-d 5", "debug_print_rewritten", "on"), ("-d 0", "log_min_messages", "notice"), ("-s", "log_statement_stats", "on"),
    ("-t pa", "log_parser_stats", "on"), ("-t planner", "log_planner_stats", "on"), ("-tex", "log_executor_stats", "on"), ("-O", "allow_system_table_mods", "on"),
    ("-f b", "enable_bitmapscan", "off"), ("-f h", "enable_hashjoin", "off"), ("-f i", "enable_indexscan", "off"), ("-f m", "enable_mergejoin", "off"),
    ("-f n", "enable_nestloop", "off"), ("-f o", "enable_indexonlyscan", "off"), ("-f t", "enable_tidscan", "off"),
])
def test_a_switch_means_what_it_means_to_postgres(as_superuser, postgres, options, setting, value):
    with postgres.connect("lab", parameters={"options": options}) as direct:
        assert direct.value(f"show {setting}") == value
    assert as_superuser.connect("postgres", "x", parameters={"options": options}).value(f"show {setting}") == value


def test_options_of_a_stranger_are_not_looked_at_before_the_password(pooler):
    with pytest.raises(wire.ServerError) as e:
        pooler.connect(password="wrong", parameters={"options": "--nonsense"})
    assert e.value.message == "SASL authentication failed"


# --- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["is_superuser", "server_version", "server_encoding", "integer_datetimes", "in_hot_standby", "Is_Superuser", "block_size", "server_version_num"])
@pytest.mark.parametrize("in_options", [False, True], ids=["parameter", "options"])
def test_what_tells_of_the_server_cannot_be_chosen(pooler, postgres, name, in_options):
    pair = ("options", f"-c {name}=on") if in_options else (name, "on")
    if name == "Is_Superuser":
        # directly its name is told in the client's spelling, until PostgreSQL 18, which tells its own
        spelling = "is_superuser" if postgres.major >= 18 else name
        with wire.Client(("127.0.0.1", postgres.port), login=False) as direct:
            assert answer(direct, wire.startup_packet(USER + [pair]), "app")[:2] == ("55P02", f'parameter "{spelling}" cannot be changed')
        assert answer(pooler.raw(), wire.startup_packet(USER + [pair]), "app")[:2] == ("55P02", f'parameter "{name}" cannot be changed')
        return
    assert compare(pooler, postgres, wire.startup_packet(USER + [pair]))[0] == "55P02"


@pytest.mark.parametrize("value, code", [("app", None), ("app2", "42501")])
def test_a_session_is_authorized_for_its_own_user(pooler, postgres, value, code):
    got = compare(pooler, postgres, wire.startup_packet(USER + [("session_authorization", value)]))
    assert isinstance(got, list) if code is None else got[0] == code


LIBRARIES = [
    ("postgres", "session_preload_libraries", "nix"), ("postgres", "session_preload_libraries", 'auto_explain, "nix 2"'), ("postgres", "session_preload_libraries", "auto_explain"),
    ("postgres", "local_preload_libraries", "nix"), ("postgres", "session_preload_libraries", ""), ("postgres", "session_preload_libraries", "nix,,"),
    ("app", "local_preload_libraries", "nix"), ("app", "session_preload_libraries", "auto_explain"),
]


@pytest.mark.parametrize("user, name, value", LIBRARIES)
def test_libraries_are_loaded_when_a_session_begins(pooler, as_superuser, postgres, user, name, value):
    through = as_superuser if user == "postgres" else pooler
    got = compare(through, postgres, wire.startup_packet([("user", user), ("database", "lab"), (name, value)]), user)
    assert isinstance(got, list) or got[0] == ("42501" if (user, value) == ("app", "auto_explain") else "58P01")


def test_a_library_of_the_startup_packet_is_there(as_superuser, postgres):
    postgres.needs_library("auto_explain")
    c = as_superuser.connect("postgres", "x", parameters={"session_preload_libraries": "auto_explain"})
    # without the library it would be a placeholder, and any value right
    assert c.query("set auto_explain.log_format = nonsense").error.code == "22023"


# --- requests in place of a packet ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"\0" * 7, b"\0" * 300, b"\0" * 9000], ids=len)
def test_a_cancel_request_of_a_wrong_length_is_closed_without_a_byte(pooler, postgres, body):
    packet = wire.request_packet(wire.CANCEL, body)
    for address in (("127.0.0.1", postgres.port), pooler.address):
        with wire.Client(address, login=False) as c:
            c.send(packet)
            with pytest.raises(wire.Closed):
                c.read_byte()
    pooler.wait_log("closing because: cancel request: it has the wrong length")


@pytest.mark.parametrize("code", [wire.SSL, wire.GSSENC], ids=["TLS", "GSSAPI"])
def test_encryption_is_refused_once_and_not_without_end(pooler, postgres, code):
    # a PostgreSQL that can do GSSAPI would go on with it
    for address in (("127.0.0.1", postgres.port), pooler.address) if code == wire.SSL else (pooler.address,):
        with wire.Client(address, login=False) as c:
            c.send(wire.request_packet(code))
            assert c.read_byte() == b"N"
            c.send(wire.request_packet(code))
            error = c.read_until("E")[-1][1]
            assert (error["S"], error["C"]) == ("FATAL", "0A000")
            # PostgreSQL 18 speaks 3.2, as the pooler does
            assert re.fullmatch(f"unsupported frontend protocol 1234.{code & 0xFFFF}: server supports 3.0 to 3.[02]", error["M"])


def test_each_kind_of_encryption_may_be_asked_for_before_the_login(pooler):
    for order in ((wire.SSL, wire.GSSENC), (wire.GSSENC, wire.SSL)):
        c = pooler.raw()
        for code in order:
            c.send(wire.request_packet(code))
            assert c.read_byte() == b"N"
        assert isinstance(answer(c, wire.startup_packet(USER)), list)
