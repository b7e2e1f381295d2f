/* libpq itself: what PQprepare, pipelines, COPY, PQcancel and large objects put on the wire. */
#include "processes.h"

#include <libpq-fe.h>
#include <libpq/libpq-fs.h>

static PGconn *open_connection(void) {
    PGconn *c = PQconnectdb("");
    if (PQstatus(c) != CONNECTION_OK) die("no connection: %s", PQerrorMessage(c));
    return c;
}

static const char *state_of(PGresult *r) {
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    return state ? state : "no error";
}

/* The result must be an error with this SQLSTATE, or a success when it is NULL. */
static void expect(PGconn *c, PGresult *r, const char *state, const char *what) {
    ExecStatusType s = PQresultStatus(r);
    if (!state) {
        if (s != PGRES_COMMAND_OK && s != PGRES_TUPLES_OK && s != PGRES_COPY_IN && s != PGRES_COPY_OUT)
            die("%s: %s (%s) %s", what, PQresStatus(s), state_of(r), PQerrorMessage(c));
    } else if (strcmp(state_of(r), state) != 0) {
        die("%s: expected %s, got %s (%s) %s", what, state, PQresStatus(s), state_of(r), PQerrorMessage(c));
    }
    PQclear(r);
}

static void run(PGconn *c, const char *sql) { expect(c, PQexec(c, sql), NULL, sql); }

/* One row: `who` as the statement's own literal, then what was asked. */
static void check_row(PGconn *c, PGresult *r, int who, const char *asked, const char *what) {
    char expected[16];
    snprintf(expected, sizeof expected, "%d", who);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) die("%s: %s %s", what, PQresStatus(PQresultStatus(r)), PQerrorMessage(c));
    if (PQntuples(r) != 1 || PQnfields(r) != 2) die("%s: %d rows of %d columns", what, PQntuples(r), PQnfields(r));
    if (strcmp(PQgetvalue(r, 0, 0), expected) != 0 || strcmp(PQgetvalue(r, 0, 1), asked) != 0)
        die("%s: asked for %s,%s and got %s,%s", what, expected, asked, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1));
    PQclear(r);
}

/* A connection's own text, so that another client's statement shows. */
static const char *own_text(int who, const char *label) {
    static char text[200];
    snprintf(text, sizeof text, "select %d, $1::text /* %s */", who, label);
    return text;
}

static const char *number(int n) {
    static char text[16];
    snprintf(text, sizeof text, "%d", n);
    return text;
}

static void named(int who) {
    PGconn *c = open_connection();
    for (int n = 0; n < 4; n++) {
        char name[16], label[16];
        snprintf(name, sizeof name, "s%d", n); /* the same names on every connection */
        snprintf(label, sizeof label, "named %d", n);
        expect(c, PQprepare(c, name, own_text(who, label), 1, NULL), NULL, "PQprepare");
    }
    for (int n = 0; n < ROUNDS; n++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", n % 4);
        const char *values[] = {number(n)};
        check_row(c, PQexecPrepared(c, name, 1, values, NULL, NULL, 0), who, values[0], "PQexecPrepared");
    }
    PQfinish(c);
}

static void unnamed_in_one(int who) {
    PGconn *c = open_connection();
    for (int n = 0; n < ROUNDS; n++) {
        const char *values[] = {number(n)};
        check_row(c, PQexecParams(c, own_text(who, "params"), 1, NULL, values, NULL, NULL, 0), who, values[0], "PQexecParams");
    }
    PQfinish(c);
}

static void unnamed_across_sync(int who) {
    PGconn *c = open_connection();
    for (int n = 0; n < ROUNDS; n++) {
        const char *values[] = {number(n)};
        if (n % 3 == 0) expect(c, PQprepare(c, "", own_text(who, "unnamed"), 1, NULL), NULL, "PQprepare \"\"");
        check_row(c, PQexecPrepared(c, "", 1, values, NULL, NULL, 0), who, values[0], "PQexecPrepared \"\"");
    }
    PQfinish(c);
}

static void describe(int who) {
    PGconn *c = open_connection();
    char text[100];
    snprintf(text, sizeof text, "select $1::int as own_%d", who);
    expect(c, PQprepare(c, "d", text, 1, NULL), NULL, "PQprepare");
    expect(c, PQprepare(c, "", text, 1, NULL), NULL, "PQprepare \"\"");
    snprintf(text, sizeof text, "own_%d", who);
    for (int n = 0; n < ROUNDS; n++) {
        PGresult *r = PQdescribePrepared(c, n % 2 ? "d" : "");
        if (PQresultStatus(r) != PGRES_COMMAND_OK) die("describe: %s", PQerrorMessage(c));
        if (PQnparams(r) != 1 || PQnfields(r) != 1 || strcmp(PQfname(r, 0), text) != 0)
            die("describe: %d parameters, %d columns, %s", PQnparams(r), PQnfields(r), PQnfields(r) ? PQfname(r, 0) : "-");
        PQclear(r);
    }
    PQfinish(c);
}

static void failures(int who) {
    PGconn *c = open_connection();
    const char *values[] = {"7"};
    for (int n = 0; n < 20; n++) {
        expect(c, PQexecPrepared(c, "nobody", 0, NULL, NULL, NULL, 0), "26000", "unknown name");
        expect(c, PQprepare(c, "f", "select nonsense from", 0, NULL), "42601", "a Parse that fails");
        expect(c, PQexecPrepared(c, "f", 0, NULL, NULL, NULL, 0), "26000", "a name whose Parse failed");
        expect(c, PQprepare(c, "f", own_text(who, "after a failure"), 1, NULL), NULL, "the same name after a failed Parse");
        expect(c, PQprepare(c, "f", "select 'another'", 0, NULL), "42P05", "duplicate name");
        check_row(c, PQexecPrepared(c, "f", 1, values, NULL, NULL, 0), who, "7", "the statement after a refused duplicate");
        /* A Bind that fails leaves the statement as it is. */
        expect(c, PQprepare(c, "i", "select 1/$1::int", 1, NULL), NULL, "PQprepare");
        const char *zero[] = {"0"}, *word[] = {"word"}, *one[] = {"1"};
        expect(c, PQexecPrepared(c, "i", 1, zero, NULL, NULL, 0), "22012", "division by zero");
        expect(c, PQexecPrepared(c, "i", 1, word, NULL, NULL, 0), "22P02", "not a number");
        expect(c, PQexecPrepared(c, "i", 1, one, NULL, NULL, 0), NULL, "after two failures");
        run(c, "deallocate f");
        run(c, "DEALLOCATE PREPARE \"i\";");
        expect(c, PQexecPrepared(c, "f", 1, values, NULL, NULL, 0), "26000", "a deallocated name");
        /* An unnamed Parse that fails destroys nothing but itself: a later one works. */
        expect(c, PQprepare(c, "", "select from where", 0, NULL), "42601", "unnamed Parse that fails");
        expect(c, PQprepare(c, "", own_text(who, "unnamed after a failure"), 1, NULL), NULL, "unnamed again");
        check_row(c, PQexecPrepared(c, "", 1, values, NULL, NULL, 0), who, "7", "unnamed after a failure");
    }
    PQfinish(c);
}

static void deallocate(int who) {
    PGconn *c = open_connection();
    char sql[200];
    const char *values[] = {"1"};
    for (int n = 0; n < 20; n++) {
        run(c, "begin");
        expect(c, PQprepare(c, "Odd \"name\"", own_text(who, "odd"), 1, NULL), NULL, "PQprepare");
        check_row(c, PQexecPrepared(c, "Odd \"name\"", 1, values, NULL, NULL, 0), who, "1", "in a transaction");
        snprintf(sql, sizeof sql, "insert into libpq_keep values (%d, %d)", who, n);
        run(c, sql);
        run(c, "deallocate \"Odd \"\"name\"\"\"");
        PGresult *r = PQexec(c, "commit");
        if (strcmp(PQcmdStatus(r), "COMMIT") != 0) die("COMMIT after DEALLOCATE answers %s", PQcmdStatus(r));
        PQclear(r);

        /* Unknown: PostgreSQL's own error, and in a transaction it counts as one. */
        expect(c, PQexec(c, "deallocate nobody"), "26000", "deallocate nobody");
        run(c, "begin");
        expect(c, PQexec(c, "deallocate nobody"), "26000", "deallocate nobody in a transaction");
        expect(c, PQexec(c, "select 1"), "25P02", "after that");
        run(c, "rollback");

        /* In a failed transaction it is refused, and the statement lives. */
        expect(c, PQprepare(c, "lives", own_text(who, "lives"), 1, NULL), NULL, "PQprepare");
        run(c, "begin");
        expect(c, PQexec(c, "select 1/0"), "22012", "1/0");
        expect(c, PQexec(c, "deallocate lives"), "25P02", "deallocate in a failed transaction");
        run(c, "rollback");
        check_row(c, PQexecPrepared(c, "lives", 1, values, NULL, NULL, 0), who, "1", "a statement whose deallocation was refused");
        run(c, who % 2 ? "deallocate all" : "deallocate lives"); /* the others' statements must not notice */
        expect(c, PQexecPrepared(c, "lives", 1, values, NULL, NULL, 0), "26000", "after deallocate");
    }
    snprintf(sql, sizeof sql, "select %d, count(*)::text from libpq_keep where who = %d and $1::int > 0", who, who);
    check_row(c, PQexecParams(c, sql, 1, NULL, values, NULL, NULL, 0), who, "20", "committed rows");
#ifdef LIBPQ_HAS_CLOSE_PREPARED
    for (int n = 0; n < 20; n++) {
        expect(c, PQprepare(c, "closed", own_text(who, "closed"), 1, NULL), NULL, "PQprepare");
        expect(c, PQclosePrepared(c, "closed"), NULL, "PQclosePrepared");
        expect(c, PQexecPrepared(c, "closed", 1, values, NULL, NULL, 0), "26000", "after PQclosePrepared");
        expect(c, PQclosePrepared(c, "closed"), NULL, "PQclosePrepared of nothing");
    }
#endif
    PQfinish(c);
}

/* A plan that the table has outgrown: PostgreSQL says so once, and preparing again heals it. Behind a pooler each of its
   three servers may say it once, and no more. */
static void stale_plan(int who) {
    PGconn *c = open_connection();
    char sql[200], name[32];
    for (int round = 0; round < 5; round++) {
        snprintf(sql, sizeof sql, "create table libpq_stale_%d_%d as select %d as who, 'old'::text as t", who, round, who);
        run(c, sql);
        snprintf(sql, sizeof sql, "select * from libpq_stale_%d_%d", who, round);
        snprintf(name, sizeof name, "stale%d", round);
        expect(c, PQprepare(c, name, sql, 0, NULL), NULL, "PQprepare");
        for (int n = 0; n < 20; n++) check_row(c, PQexecPrepared(c, name, 0, NULL, NULL, NULL, 0), who, "old", "before ALTER TABLE");
        char alter[200];
        snprintf(alter, sizeof alter, "alter table libpq_stale_%d_%d add column more text default 'new'", who, round);
        run(c, alter);
        int refused = 0, healed = 0;
        while (healed < 20) {
            PGresult *r = PQexecPrepared(c, name, 0, NULL, NULL, NULL, 0);
            if (PQresultStatus(r) == PGRES_TUPLES_OK) {
                if (PQnfields(r) != 3) die("%d columns after ALTER TABLE", PQnfields(r));
                healed++;
            } else if (strcmp(state_of(r), "0A000") != 0) {
                die("after ALTER TABLE: %s", PQerrorMessage(c));
            } else {
                if (++refused > 3) die("0A000 for the fourth time, on three servers");
                snprintf(name, sizeof name, "stale%d_%d", round, refused); /* the same text under a new name */
                expect(c, PQprepare(c, name, sql, 0, NULL), NULL, "PQprepare");
            }
            PQclear(r);
        }
        snprintf(sql, sizeof sql, "drop table libpq_stale_%d_%d", who, round);
        run(c, sql);
    }
    PQfinish(c);
}

static PGresult *next_result(PGconn *c) {
    PGresult *r = PQgetResult(c);
    if (!r) die("a pipeline's result is missing");
    PGresult *end = PQresultStatus(r) == PGRES_PIPELINE_SYNC ? NULL : PQgetResult(c);
    if (end) die("a result too many: %s", PQresStatus(PQresultStatus(end)));
    return r;
}

static void pipelines(int who) {
    PGconn *c = open_connection();
    if (!PQenterPipelineMode(c)) die("no pipeline mode");
    for (int round = 0; round < 25; round++) {
        char name[16];
        char asked[8][16];
        snprintf(name, sizeof name, "p%d", round);
        if (!PQsendPrepare(c, name, own_text(who, "pipeline"), 1, NULL)) die("send: %s", PQerrorMessage(c));
        for (int n = 0; n < 8; n++) {
            snprintf(asked[n], sizeof asked[n], "%d", round * 8 + n);
            const char *values[] = {asked[n]};
            int sent = n % 2 ? PQsendQueryPrepared(c, name, 1, values, NULL, NULL, 0)
                             : PQsendQueryParams(c, own_text(who, "in between"), 1, NULL, values, NULL, NULL, 0);
            if (!sent) die("send: %s", PQerrorMessage(c));
            if (round % 3 == 1 && n == 3 && !PQsendFlushRequest(c)) die("flush request");
            if (round % 3 == 2 && n == 3 && !PQpipelineSync(c)) die("sync");
        }
        if (!PQpipelineSync(c)) die("sync");
        expect(c, next_result(c), NULL, "prepare in a pipeline");
        for (int n = 0; n < 8; n++) {
            check_row(c, next_result(c), who, asked[n], "in a pipeline");
            if (round % 3 == 2 && n == 3) PQclear(next_result(c));
        }
        PGresult *r = next_result(c);
        if (PQresultStatus(r) != PGRES_PIPELINE_SYNC) die("no sync: %s", PQresStatus(PQresultStatus(r)));
        PQclear(r);

        /* An error skips to the next Sync, and only to that one. */
        const char *zero[] = {"0"}, *values[] = {"5"};
        PQsendQueryParams(c, "select 1/$1::int", 1, NULL, zero, NULL, NULL, 0);
        PQsendPrepare(c, "skipped", "select 'wrong', $1::text", 1, NULL);
        PQpipelineSync(c);
        PQsendQueryPrepared(c, name, 1, values, NULL, NULL, 0);
        PQsendPrepare(c, "skipped", own_text(who, "not skipped"), 1, NULL); /* skipped above, so the name is free */
        PQpipelineSync(c);
        PQsendQueryPrepared(c, "skipped", 1, values, NULL, NULL, 0);
        PQsendPrepare(c, "skipped", "select 'twice'", 0, NULL);
        PQpipelineSync(c);
        expect(c, next_result(c), "22012", "the error");
        r = next_result(c);
        if (PQresultStatus(r) != PGRES_PIPELINE_ABORTED) die("not skipped: %s", PQresStatus(PQresultStatus(r)));
        PQclear(r);
        PQclear(next_result(c));
        check_row(c, next_result(c), who, "5", "after the error");
        expect(c, next_result(c), NULL, "a name that was skipped");
        PQclear(next_result(c));
        check_row(c, next_result(c), who, "5", "the name that was skipped");
        expect(c, next_result(c), "42P05", "a duplicate name in a pipeline");
        PQclear(next_result(c));
        PQsendQueryParams(c, "select 1", 0, NULL, NULL, NULL, NULL, 0);
        PQpipelineSync(c);
        expect(c, next_result(c), NULL, "after a refused duplicate");
        PQclear(next_result(c));
        PQexitPipelineMode(c);
        run(c, "deallocate skipped");
        PQenterPipelineMode(c);
    }
    if (!PQexitPipelineMode(c)) die("cannot leave the pipeline: %s", PQerrorMessage(c));
    PQfinish(c);
}

/* DEALLOCATE as text, but not by a simple Query. */
static void deallocate_extended(int who) {
    PGconn *c = open_connection();
    const char *values[] = {"1"};
    for (int n = 0; n < 20; n++) {
        expect(c, PQprepare(c, "x", own_text(who, "x"), 1, NULL), NULL, "PQprepare");
        check_row(c, PQexecPrepared(c, "x", 1, values, NULL, NULL, 0), who, "1", "before");
        expect(c, PQexecParams(c, "deallocate x", 0, NULL, NULL, NULL, NULL, 0), NULL, "deallocate x");
        expect(c, PQexecPrepared(c, "x", 1, values, NULL, NULL, 0), "26000", "after deallocate x");
        expect(c, PQprepare(c, "x", own_text(who, "again"), 1, NULL), NULL, "PQprepare");
        expect(c, PQexecParams(c, "deallocate all", 0, NULL, NULL, NULL, NULL, 0), NULL, "deallocate all");
        expect(c, PQexecPrepared(c, "x", 1, values, NULL, NULL, 0), "26000", "after deallocate all");
    }
    PQfinish(c);
}

static void copy(int who) {
    PGconn *c = open_connection();
    char line[64], sql[200];
    for (int round = 0; round < 5; round++) {
        run(c, "begin");
        snprintf(sql, sizeof sql, "delete from libpq_copy where who = %d", who);
        run(c, sql);
        run(c, "copy libpq_copy from stdin");
        for (int n = 0; n < 2000; n++) {
            snprintf(line, sizeof line, "%d\t%d\n", who, n);
            if (PQputCopyData(c, line, strlen(line)) != 1) die("COPY: %s", PQerrorMessage(c));
        }
        if (PQputCopyEnd(c, NULL) != 1) die("COPY end: %s", PQerrorMessage(c));
        expect(c, PQgetResult(c), NULL, "COPY IN");
        while (PQgetResult(c)) {}
        run(c, "commit");

        run(c, "copy libpq_copy from stdin");
        PQputCopyData(c, "half a li", 9);
        PQputCopyEnd(c, "changed my mind");
        expect(c, PQgetResult(c), "57014", "CopyFail");
        while (PQgetResult(c)) {}

        snprintf(sql, sizeof sql, "copy (select who, n from libpq_copy where who = %d order by n) to stdout", who);
        run(c, sql);
        char *data;
        int n = 0, length;
        while ((length = PQgetCopyData(c, &data, 0)) > 0) {
            snprintf(line, sizeof line, "%d\t%d\n", who, n++);
            if (strcmp(data, line) != 0) die("COPY OUT: %s", data);
            PQfreemem(data);
        }
        if (n != 2000 || length != -1) die("COPY OUT: %d rows, then %d", n, length);
        expect(c, PQgetResult(c), NULL, "COPY OUT");
        while (PQgetResult(c)) {}
    }
    PQfinish(c);
}

/* Half of the connections cancel their own sleep, the other half must never see one. */
static void cancel(int who) {
    PGconn *c = open_connection();
    char error[256];
    for (int n = 0; n < 10; n++) {
        if (who % 2) {
            if (!PQsendQuery(c, "select pg_sleep(60)")) die("send: %s", PQerrorMessage(c));
            usleep(30000);
            /* It may still wait for a server; then the request comes too early to have any effect on PostgreSQL. */
            for (int attempt = 0; PQconsumeInput(c) && PQisBusy(c); attempt++) {
                if (attempt > 100) die("not cancelled");
                PGcancel *request = PQgetCancel(c);
                if (!PQcancel(request, error, sizeof error)) die("cancel: %s", error);
                PQfreeCancel(request);
                usleep(100000);
            }
            expect(c, PQgetResult(c), "57014", "cancelled");
            while (PQgetResult(c)) {}
            /* PostgreSQL itself may deliver a second, late request to the next statement of this same connection. */
            PGresult *r = PQexec(c, "select 1");
            if (PQresultStatus(r) != PGRES_TUPLES_OK && strcmp(state_of(r), "57014") != 0) die("after cancel: %s", PQerrorMessage(c));
            PQclear(r);
        } else {
            for (int m = 0; m < 10; m++) {
                const char *values[] = {number(m)};
                char sql[100];
                snprintf(sql, sizeof sql, "select %d, $1::text from pg_sleep(0.005)", who);
                check_row(c, PQexecParams(c, sql, 1, NULL, values, NULL, NULL, 0), who, values[0], "beside somebody's cancel");
            }
        }
    }
    PQfinish(c);
}

/* Large objects are function calls (message F). */
static void large_objects(int who) {
    PGconn *c = open_connection();
    static char data[100000], back[100000];
    memset(data, 'a' + who, sizeof data);
    for (int n = 0; n < 5; n++) {
        run(c, "begin");
        Oid object = lo_creat(c, INV_READ | INV_WRITE);
        if (object == InvalidOid) die("lo_creat: %s", PQerrorMessage(c));
        int handle = lo_open(c, object, INV_READ | INV_WRITE);
        if (handle < 0) die("lo_open: %s", PQerrorMessage(c));
        if (lo_write(c, handle, data, sizeof data) != sizeof data) die("lo_write: %s", PQerrorMessage(c));
        if (lo_lseek(c, handle, 0, SEEK_SET) != 0) die("lo_lseek: %s", PQerrorMessage(c));
        if (lo_read(c, handle, back, sizeof back) != sizeof back) die("lo_read: %s", PQerrorMessage(c));
        if (memcmp(data, back, sizeof data) != 0) die("another's bytes");
        lo_close(c, handle);
        run(c, "commit");
        if (lo_unlink(c, object) != 1) die("lo_unlink: %s", PQerrorMessage(c));
        if (lo_unlink(c, object) == 1) die("lo_unlink of nothing works");
    }
    PQfinish(c);
}

int main(void) {
    PGconn *c = open_connection();
    run(c, "begin; set local client_min_messages = error;"
           "drop table if exists libpq_keep, libpq_copy; create table libpq_keep (who int, n int);"
           "create table libpq_copy (who int, n int); commit");
    PQfinish(c);
    in_processes("named statements", named);
    in_processes("unnamed in one round", unnamed_in_one);
    in_processes("unnamed across a Sync", unnamed_across_sync);
    in_processes("describe alone", describe);
    in_processes("failed, unknown and duplicate names", failures);
    in_processes("DEALLOCATE", deallocate);
    in_processes("stale plan after DDL", stale_plan);
    in_processes("pipelines", pipelines);
    in_processes("COPY", copy);
    in_processes("cancel", cancel);
    in_processes("large objects", large_objects);
    in_processes("DEALLOCATE in the extended protocol", deallocate_extended);
    return 0;
}
