"""Where PgBouncer is known to behave in another way: one table, for the suite and for docs/compatibility.md (`scripts/compatibility.py`).

A run against PgBouncer expects the tests of an entry to fail. One that passes all the same is reported as a failure, and so is one that
fails and stands in no entry. Tests that make no sense for another pooler are marked `sluice_only` instead.
"""
import re
from dataclasses import dataclass

TRIED_WITH = "1.25.2"


@dataclass(frozen=True)
class Difference:
    """subject    what it is about, a few words
    pgbouncer  what PgBouncer does
    sluice     what Sluice does
    tests      FILE::NAME, with the parameters in brackets where it is about some of them; * stands for anything
    sometimes  the tests may pass: what happens depends on time
    runs       False: it would take them minutes to fail, so they are passed over
    """

    subject: str
    pgbouncer: str
    sluice: str
    tests: tuple
    sometimes: bool = False
    runs: bool = True

    def matches(self, test):
        return any(_pattern(each).fullmatch(test) for each in self.tests)


def _pattern(text):
    """`test_a.py::test_b` stands for all of its parameters, too."""
    regular = ".*".join(re.escape(part) for part in text.split("*"))
    return re.compile(regular if text.endswith("]") else regular + r"(\[.*\])?", re.S)


def known(test):
    """The entry of a test, as FILE::NAME[PARAMETERS]; None where no difference is known."""
    return next((each for area in AREAS.values() for each in area if each.matches(test)), None)


AREAS = {
    "Logging in": [
        Difference(
            "who does not exist",
            "a user whom `auth_query` does not find is refused at once with `no such user`, so anybody can find out who exists",
            "asked for a password as anybody else, and refused in the same words after the same time",
            (
                "test_auth_query.py::test_an_unknown_user_is_asked_like_any_other",
                "test_auth_query.py::test_where_secrets_are_md5_hashes_unknown_users_are_asked_for_md5",
                "test_auth_query.py::test_a_null_name_is_no_row[*false]",
                "test_auth_query.py::test_names_with_strange_characters",
                "test_cert.py::test_a_certificate_is_for_the_name_that_auth_query_returns",
                "test_login.py::test_under_md5_unknown_users_are_asked_as_most_users_are",
            ),
        ),
        Difference(
            "a row of `auth_query` without a name",
            "`bouncer config error`",
            "no row: the user is unknown",
            ("test_auth_query.py::test_a_null_name_is_no_row[*<> '']",),
        ),
        Difference(
            "`auth_type = plain` with SCRAM secrets",
            "the client gets in, and the server is not: `server login failed: wrong password type`",
            "the password that the client typed opens the server, too",
            ("test_auth_query.py::test_users_are_looked_up[app-plain]",),
        ),
        Difference(
            "another name from `auth_query`",
            "the client keeps the name that it came with for all but the secret: limits and rules under it do not hold",
            "the client becomes the user whom the query returns, with that user's pool, limits and rules",
            (
                "test_auth_query.py::test_the_client_becomes_the_user_whom_the_query_returns",
                "test_auth_query.py::test_plain_passwords_work_under_another_name",
            ),
        ),
        Difference(
            "nonsense from `auth_query`",
            "several rows that differ, and rows about nobody, are taken as an answer; a wrong number of columns is not explained",
            "an error for that client, and the log says what is wrong with the answer",
            tuple(
                f"test_auth_query.py::test_nonsense_is_an_error_for_that_client_alone[{part}]"
                for part in ("select 1 where*", "select $1::text, 'a', 'b'*", "*rows that differ", "*about nobody", "*longer than")
            ),
        ),
        Difference(
            "startup parameters such as `search_path`",
            "refused: `unsupported startup parameter`, unless ignored by `ignore_startup_parameters`",
            "take effect for that client; they never reach what `auth_query` runs",
            ("test_auth_query.py::test_what_clients_ask_for_never_reaches_the_query", "test_drivers_python.py::test_asyncpg_with_a_url_full_of_leftovers"),
        ),
        Difference(
            "clients that log in as `auth_user`",
            "share the pool that the lookups need: while they hold its servers nobody can log in",
            "have a pool of their own",
            ("test_auth_query.py::test_clients_that_are_auth_user_have_a_pool_of_their_own",),
        ),
        Difference(
            "a lookup that fails or hangs",
            "clients wait until `query_wait_timeout`, without a word",
            "clients are told why at once, and the lookup ends with its client",
            ("test_auth_query.py::test_a_server_that_can_t_be_reached_is_told", "test_auth_query.py::test_a_lookup_that_hangs_ends_with_its_client"),
        ),
        Difference(
            "HBA rules that let nobody in",
            "`auth_query` is asked before they are looked at",
            "nobody is asked about who cannot come in under any name",
            ("test_auth_query.py::test_nobody_is_looked_up_where_no_rule_would_let_anybody_in",),
            sometimes=True,
        ),
        Difference(
            "`peer` with a map, in the words of the log",
            "the log does not say that a map does not match or is missing; an unknown user is refused as `unix socket login rejected`",
            "it does; an unknown user is refused as everywhere",
            ("test_hba.py::test_peer_with_a_map", "test_hba.py::test_a_map_for_everybody"),
        ),
        Difference(
            "long passwords",
            "a password message that is larger than its buffer is misread",
            "up to `max_packet_size`",
            ("test_login.py::test_a_password_of_60_kb",),
        ),
        Difference(
            "connections that say nothing",
            "each probe of a load balancer is logged",
            "a connection that ends before its first byte is not",
            ("test_login.py::test_a_probe_that_says_nothing_is_not_logged",),
        ),
        Difference(
            "several processes, `so_reuseport`",
            "each makes up a salt of its own for users who do not exist, which gives them away",
            "the same one",
            ("test_peers.py::test_processes_on_one_port_give_unknown_users_the_same_salt",),
        ),
    ],
    "Files and reloads": [
        Difference(
            "a broken file at a reload",
            "what was read before the fault is in force",
            "nothing changes; the log says file, line, what is wrong and what was expected",
            ("test_configuration.py::test_a_broken_file_changes_nothing",),
        ),
        Difference(
            "an HBA file that is gone at a reload",
            "goes on with no rules at all",
            "nothing changes",
            ("test_hba.py::test_a_file_that_is_gone_changes_nothing_at_a_reload",),
        ),
        Difference(
            "broken lines of an HBA file",
            "the warning does not name the file",
            "it names file and line",
            ("test_hba.py::test_broken_lines_are_skipped_and_told",),
        ),
        Difference(
            "`auth_type = hba` without a file",
            "starts, and lets nobody in",
            "does not start",
            ("test_hba.py::test_hba_without_a_file_is_refused",),
        ),
        Difference(
            "a forced user that a reload changes or takes away",
            "`losing forced user not supported`",
            "as for any other change of a database: servers are replaced as transactions end",
            ("test_configuration.py::test_the_forced_user_changes_at_a_reload[*-None]", "test_configuration.py::test_the_forced_user_changes_at_a_reload[*-None-app]"),
        ),
        Difference(
            "TCP settings of clients",
            "a reload that sets `tcp_keepidle` back to the system's value changes nothing",
            "new connections have it",
            ("test_configuration.py::test_what_is_set_on_clients_sockets_follows_a_reload",),
        ),
        Difference(
            "settings that only a restart changes",
            "a reload says nothing of them",
            "the log names those that the file has changed",
            ("test_configuration.py::test_a_reload_names_what_only_a_restart_changes",),
        ),
        Difference(
            "a log file that was moved away",
            "opened anew with the next line that is logged after SIGHUP",
            "opened anew at SIGHUP",
            ("test_process.py::test_a_rotated_log_is_reopened",),
        ),
        Difference(
            "`-v -v`",
            "NOISE does not name the parameters that are set in this way",
            "does",
            ("test_process.py::test_verbosity",),
        ),
    ],
    "Pools and waiting": [
        Difference(
            "`query_wait_notify` for several who wait",
            "the notice reaches the one in front; those behind it may get none",
            "each is told",
            ("test_pooling.py::test_waiting_clients_are_served_first_come_first_served", "test_failure.py::test_a_database_that_is_removed_and_added_again"),
        ),
        Difference(
            "`server_login_retry`",
            "the error from memory comes in other words",
            "`server login has been failing, cached error: ...`, as PgBouncer 1.26 words it",
            ("test_pooling.py::test_server_login_retry_answers_from_memory",),
        ),
        Difference(
            "a `server_reset_query` that fails",
            "the server is handed out unreset",
            "the server is closed",
            ("test_pooling.py::test_a_failing_server_reset_query_costs_only_the_server",),
        ),
        Difference(
            "a long `application_name`",
            "126 bytes and more leave the value of the client before in place, and one that PostgreSQL shortens is set anew each time",
            "any length",
            tuple(f"test_pooling.py::test_an_application_name_of_any_length[{length}]" for length in (63, 64, 126, 200, 255, 1000, 5000)),
        ),
        Difference(
            "`client_idle_timeout` of one user",
            "where the global one is 0, all other clients are closed as soon as they are idle",
            "is about that user alone",
            ("test_configuration.py::test_client_idle_timeout_of_a_user",),
        ),
        Difference(
            "a `server_check_query` that fails",
            "the server is used all the same",
            "the server is closed",
            ("test_pooling.py::test_a_failing_server_check_query_costs_only_the_server",),
        ),
        Difference(
            "a server that refuses connections at once",
            "tens of attempts for each query",
            "a few attempts a second, whatever is asked",
            ("test_failure.py::test_a_server_that_refuses_at_once_is_not_tried_without_end",),
        ),
        Difference(
            "a database that moves to another server",
            "a query is left without an answer, now and then",
            "each is answered",
            ("test_failure.py::test_a_database_that_moves_leaves_its_old_server_for_good",),
            sometimes=True,
        ),
        Difference(
            "half a message",
            "takes a server from its first byte on, until `query_wait_timeout` or for ever",
            "waits in the client's own time",
            tuple(f"test_failure.py::test_half_a_message_then_silence_holds_nothing[{length}]" for length in (5, 7, 20))
            + ("test_failure.py::test_half_a_message_inside_a_pipeline_holds_nothing",),
        ),
    ],
    "Clients that leave": [
        Difference(
            "a query that was sent completely before its client left",
            "lost where it still waits for a server",
            "done, as PostgreSQL would do it",
            (
                "test_leaving.py::test_what_waits_for_a_server_is_done",
                "test_leaving.py::test_a_broken_message_does_not_undo_what_was_sent_before",
            ),
        ),
        Difference(
            "the last answers of a client that has closed its sending side, or said Terminate",
            "are not sent",
            "are sent, as PostgreSQL sends them",
            ("test_leaving.py::test_answers_go_out_after_the_last_word", "test_leaving.py::test_a_waiting_client_hears_its_answers_after_the_last_word"),
        ),
        Difference(
            "a COMMIT that was sent with the query before it",
            "is done; but PREPARE TRANSACTION and COMMIT PREPARED leave the transaction prepared, with its locks",
            "is done, whatever ends it",
            ("test_leaving.py::test_a_transaction_whose_end_was_sent_is_not_cancelled[PREPARE TRANSACTION-*]",),
        ),
        Difference(
            "a query that can do nothing any more",
            "goes on in PostgreSQL until its end",
            "is cancelled",
            (
                "test_leaving.py::test_what_is_certain_to_be_rolled_back_is_cancelled",
                "test_leaving.py::test_those_who_left_obey_query_timeout",
                "test_failure.py::test_a_client_that_vanishes_in_a_running_query_cancels_it",
            ),
        ),
        Difference(
            "a transaction that was left open",
            "costs the server connection",
            "is rolled back, and the server is kept",
            ("test_failure.py::test_a_client_that_vanishes_in_a_failed_transaction_leaves_a_clean_server",),
        ),
    ],
    "Cancel requests": [
        Difference(
            "a cancel for a client that waits for a server",
            "ends the client's connection",
            "ends its statement with `57014`, as in PostgreSQL",
            (
                "test_cancel.py::test_cancel_of_a_statement_that_waits_for_a_server",
                "test_cancel.py::test_nothing_of_a_cancelled_statement_is_done",
                "test_cancel.py::test_cancel_of_a_waiting_client_that_has_said_its_last_word",
            ),
            runs=False,
        ),
        Difference(
            "thousands of requests with one key",
            "each becomes a connection to PostgreSQL",
            "a handful are made of them",
            ("test_cancel.py::test_thousands_of_requests_with_one_key_are_a_handful_for_postgresql", "test_cancel.py::test_requests_for_many_queries_have_a_bound"),
            runs=False,
        ),
        Difference(
            "requests for peers",
            "the log says nothing of hops and of peers that are not there; `cancel_wait_timeout` ends one request at a time",
            "it does, and each request has its own time",
            (
                "test_peers.py::test_over_the_shared_port",
                "test_peers.py::test_a_request_makes_three_hops_at_most",
                "test_peers.py::test_a_peer_that_is_not_there",
                "test_peers.py::test_a_peer_that_never_answers",
                "test_peers.py::test_a_peer_that_dies_with_thousands_of_requests_waiting",
            ),
        ),
    ],
    "Prepared statements and pipelines": [
        Difference(
            "the unnamed statement of a client",
            "is whatever the server's last client left there: a Bind without a Parse runs somebody else's statement",
            "each client's own; without a Parse it is `26000`",
            (
                "test_prepared.py::test_bind_of_a_never_parsed_unnamed_statement",
                "test_drivers_python.py::test_pg8000_of_many_threads",
            ),
        ),
        Difference(
            "a statement that does not exist",
            "the connection is closed",
            "`26000`, as in PostgreSQL",
            ("test_prepared.py::test_any_name",),
        ),
        Difference(
            "a prepared BEGIN and the query behind it in one batch",
            "no answer, now and then",
            "works",
            ("test_prepared.py::test_begin_inside_an_extended_batch",),
            sometimes=True,
        ),
        Difference(
            "an error in a pipeline while statements are evicted",
            "answers are lost",
            "each gets its own",
            ("test_prepared.py::test_eviction_while_errors_skip_parts_of_the_pipeline",),
        ),
        Difference(
            "a plan that DDL has made stale",
            "`cached plan must not change result type`, for ever",
            "the statement is prepared anew",
            (
                "test_prepared.py::test_a_stale_plan_heals_when_prepared_again_under_a_new_name",
                "test_prepared.py::test_a_stale_plan_heals_for_every_client_and_server",
                "test_prepared.py::test_a_fresh_parse_of_an_old_text_after_ddl_is_never_stale",
                "test_prepared.py::test_a_stale_plan_in_a_transaction_heals_after_rollback",
            ),
        ),
        Difference(
            "a name that is in use again after a failed Parse",
            "the connection is closed",
            "as in PostgreSQL",
            ("test_protocol.py::test_a_query_behind_a_failed_parse_without_sync_is_skipped",),
        ),
        Difference(
            "a Flush alone",
            "takes a server and waits for an answer that never comes",
            "keeps none",
            ("test_protocol.py::test_lone_flush_does_not_keep_a_server",),
        ),
        Difference(
            "`client_encoding` in the greeting",
            "the client's spelling",
            "the server's",
            ("test_protocol.py::test_client_encoding_is_reported_as_the_server_spells_it",),
        ),
        Difference(
            "a COPY that fails while its client is in the middle of a message",
            "keeps the server as long as the rest of the message does not come",
            "gives it to the next client",
            (
                "test_protocol.py::test_a_copy_that_fails_while_half_a_message_is_sent_disturbs_nobody",
                "test_protocol.py::test_an_extended_copy_that_fails_while_half_a_message_is_sent_disturbs_nobody[never sent]",
            ),
        ),
    ],
    "TLS": [
        Difference(
            "channel binding (SCRAM-SHA-256-PLUS)",
            "none",
            "offered to clients on TLS, and used towards servers that offer it",
            (
                "test_tls.py::test_psycopg_with_channel_binding",
                "test_tls.py::test_channel_binding_is_offered_first_and_works",
                "test_tls.py::test_hostile_channel_binding",
                "test_tls.py::test_scram_pass_through_with_channel_binding",
            ),
        ),
        Difference(
            "why a handshake failed, in the words of the log",
            "other words, or none where the client left in the middle",
            "the reason, for each",
            (
                "test_tls.py::test_clients_must_show_a_certificate_where_it_is_verified[verify-*]",
                "test_tls.py::test_plaintext_in_place_of_a_handshake_is_refused",
                "test_tls.py::test_a_client_that_leaves_in_the_middle_of_a_handshake",
            ),
        ),
        Difference(
            "users who do not exist, with TLS",
            "get another salt after a restart, which gives them away",
            "the same, made from the key of the certificate",
            ("test_tls.py::test_with_tls_unknown_users_keep_their_salt_over_a_restart",),
        ),
        Difference(
            "a handshake at once (`sslnegotiation=direct`) that names no protocol",
            "is taken",
            "is refused, as by PostgreSQL: it may be meant for another service",
            ("test_tls.py::test_direct_tls_without_our_protocol_is_refused[None]",),
        ),
        Difference(
            "a handshake where TLS is off",
            "no answer until `client_login_timeout`",
            "refused at once",
            ("test_tls.py::test_a_handshake_where_tls_is_off",),
        ),
        Difference(
            "a request for encryption inside of TLS",
            "is answered, or ends without a word",
            "an error, as in PostgreSQL",
            ("test_tls.py::test_encryption_inside_tls_is_no_protocol",),
        ),
        Difference(
            "socket calls for each transaction over TLS",
            "six",
            "four",
            ("test_tls.py::test_four_socket_calls_per_transaction_over_tls",),
        ),
        Difference(
            "many handshakes at once",
            "keep the queries of others waiting",
            "go on beside them",
            ("test_tls.py::test_queries_go_on_during_a_storm_of_handshakes",),
        ),
        Difference(
            "a server whose certificate is refused",
            "the log does not say why, and clients wait without a word until `query_wait_timeout`",
            "both are told at once",
            (
                "test_tls_servers.py::test_an_unknown_authority_is_refused",
                "test_tls_servers.py::test_clients_hear_why_the_server_is_refused",
                "test_tls_servers.py::test_clients_that_wait_for_a_server_hear_why_the_next_one_is_refused",
                "test_tls_servers.py::test_a_server_with_a_wrong_certificate_hears_no_password",
            ),
        ),
        Difference(
            "somebody between pooler and server, with a certificate of the right name",
            "is not noticed",
            "channel binding finds out",
            ("test_tls_servers.py::test_channel_binding_finds_somebody_in_between",),
        ),
        Difference(
            "cancel requests to servers with TLS",
            "in the clear",
            "encrypted as the connection that they are about",
            ("test_tls_servers.py::test_cancels_to_the_server_are_encrypted",),
        ),
        Difference(
            "TLS sessions with servers",
            "are not resumed",
            "are",
            ("test_tls_servers.py::test_sessions_with_servers_are_resumed",),
        ),
        Difference(
            "certificates that cannot be used",
            "the messages name no setting; at a reload only TLS stays as it was; an expired one is not told",
            "setting, file and reason; a reload changes nothing at all; an expired one is a warning at the start",
            (
                "test_tls.py::test_a_start_names_setting_file_and_reason",
                "test_tls.py::test_a_reload_of_bad_files_changes_nothing",
                "test_tls.py::test_an_expired_certificate_is_a_warning_at_the_start",
                "test_tls_servers.py::test_a_changed_tls_replaces_the_servers_and_an_unchanged_one_does_not",
            ),
        ),
        Difference(
            "certificate and key by SET, one after the other",
            "the NOTICE says that the settings could not be applied",
            "it says what is still missing; a suite that does not exist is an error",
            (
                "test_tls.py::test_certificate_and_key_are_changed_one_after_the_other",
                "test_tls.py::test_a_pair_towards_servers_is_set_in_two_steps",
                "test_tls.py::test_the_suites_of_tls_1_3_are_changed_by_set",
            ),
        ),
    ],
    "Replication": [
        Difference(
            "the kind of replication in the log",
            "`login attempt` does not name it",
            "`replication=physical` or `replication=logical`",
            ("test_replication.py::test_pg_basebackup", "test_replication.py::test_pg_recvlogical", "test_replication.py::test_the_words_for_it[*al]"),
        ),
        Difference(
            "startup parameters of a replication connection",
            "as for others: unknown ones are refused, the rest is set by SET",
            "go to the server as they are, but for those of `ignore_startup_parameters`",
            (
                "test_replication.py::test_startup_parameters_go_through_as_they_are",
                "test_replication.py::test_ignored_options_do_not_go_through",
                "test_replication.py::test_ignored_startup_parameters_do_not_reach_the_server",
            ),
        ),
        Difference(
            "how many servers it takes",
            "one is opened when the client asks first, and an idle one does not make room",
            "one with the login; where the pool is full an idle one makes room",
            ("test_replication.py::test_a_server_of_its_own", "test_replication.py::test_a_full_pool_loses_one_idle_server"),
        ),
        Difference(
            "what is refused",
            "a word that is none is taken; a role without the right hears `login failed`",
            "a word that is none is refused, and the role hears what PostgreSQL says",
            ("test_replication.py::test_a_wrong_word_is_refused", "test_replication.py::test_who_may_not_replicate_hears_it_from_the_server"),
        ),
    ],
}
