/* psqlODBC in its default configuration: a savepoint around each statement, names made of addresses, and DEALLOCATE
   glued between savepoints when a statement handle is dropped. */
#include "processes.h"

#include <sql.h>
#include <sqlext.h>

struct connection {
    SQLHENV environment;
    SQLHDBC handle;
};

static void fail(SQLSMALLINT type, SQLHANDLE handle, const char *what) {
    SQLCHAR state[6] = "", text[500] = "";
    SQLGetDiagRec(type, handle, 1, state, NULL, text, sizeof text, NULL);
    die("%s: %s %s", what, state, text);
}

static void must(SQLRETURN r, SQLSMALLINT type, SQLHANDLE handle, const char *what) {
    if (!SQL_SUCCEEDED(r) && r != SQL_NO_DATA) fail(type, handle, what);
}

static struct connection open_connection(const char *more) {
    struct connection c;
    char text[1000];
    SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &c.environment);
    SQLSetEnvAttr(c.environment, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0);
    SQLAllocHandle(SQL_HANDLE_DBC, c.environment, &c.handle);
    snprintf(text, sizeof text, "Driver={PostgreSQL Unicode};Server=%s;Port=%s;Database=%s;Uid=%s;Pwd=%s;%s", getenv("PGHOST"), getenv("PGPORT"),
             getenv("PGDATABASE"), getenv("PGUSER"), getenv("PGPASSWORD"), more);
    must(SQLDriverConnect(c.handle, NULL, (SQLCHAR *)text, SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT), SQL_HANDLE_DBC, c.handle, "connect");
    return c;
}

static void close_connection(struct connection c) {
    must(SQLDisconnect(c.handle), SQL_HANDLE_DBC, c.handle, "disconnect");
    SQLFreeHandle(SQL_HANDLE_DBC, c.handle);
    SQLFreeHandle(SQL_HANDLE_ENV, c.environment);
}

static SQLHSTMT statement(struct connection c) {
    SQLHSTMT s;
    must(SQLAllocHandle(SQL_HANDLE_STMT, c.handle, &s), SQL_HANDLE_DBC, c.handle, "statement handle");
    return s;
}

static void drop(SQLHSTMT s) {
    if (!SQL_SUCCEEDED(SQLFreeHandle(SQL_HANDLE_STMT, s))) die("a statement handle cannot be dropped");
}

static void run(struct connection c, const char *sql) {
    SQLHSTMT s = statement(c);
    must(SQLExecDirect(s, (SQLCHAR *)sql, SQL_NTS), SQL_HANDLE_STMT, s, sql);
    drop(s);
}

static void expect_error(SQLHSTMT s, SQLRETURN r, const char *expected, const char *what) {
    SQLCHAR state[6] = "", text[500] = "";
    if (SQL_SUCCEEDED(r)) die("%s works", what);
    SQLGetDiagRec(SQL_HANDLE_STMT, s, 1, state, NULL, text, sizeof text, NULL);
    if (strcmp((char *)state, expected) != 0) die("%s: expected %s, got %s %s", what, expected, state, text);
}

static void check(SQLHSTMT s, int who, int asked, const char *what) {
    SQLINTEGER first = -99, second = -99;
    SQLLEN length;
    if (SQLFetch(s) != SQL_SUCCESS) fail(SQL_HANDLE_STMT, s, what);
    SQLGetData(s, 1, SQL_C_SLONG, &first, 0, &length);
    SQLGetData(s, 2, SQL_C_SLONG, &second, 0, &length);
    if (first != who || second != asked) die("%s: asked for %d,%d and got %d,%d", what, who, asked, (int)first, (int)second);
    if (SQLFetch(s) != SQL_NO_DATA) die("%s: a row too many", what);
    SQLCloseCursor(s);
}

static const char *own(int who, const char *label) {
    static char text[200];
    snprintf(text, sizeof text, "select %d, ?::int /* %s */", who, label);
    return text;
}

static void bind(SQLHSTMT s, SQLINTEGER *value) {
    must(SQLBindParameter(s, 1, SQL_PARAM_INPUT, SQL_C_SLONG, SQL_INTEGER, 0, 0, value, 0, NULL), SQL_HANDLE_STMT, s, "bind");
}

static void prepared_with(int who, const char *more) {
    struct connection c = open_connection(more);
    SQLHSTMT s[3];
    SQLINTEGER value;
    for (int n = 0; n < 3; n++) {
        s[n] = statement(c);
        must(SQLPrepare(s[n], (SQLCHAR *)own(who, n == 0 ? "a" : n == 1 ? "b" : "c"), SQL_NTS), SQL_HANDLE_STMT, s[n], "prepare");
        bind(s[n], &value);
    }
    for (int n = 0; n < ROUNDS; n++) {
        value = n;
        must(SQLExecute(s[n % 3]), SQL_HANDLE_STMT, s[n % 3], "execute");
        check(s[n % 3], who, n, "prepared");
    }
    for (int n = 0; n < 3; n++) drop(s[n]);
    close_connection(c);
}

static void prepared(int who) { prepared_with(who, ""); }
static void client_side(int who) { prepared_with(who, "UseServerSidePrepare=0"); }
static void no_savepoints(int who) { prepared_with(who, "Protocol=7.4-0"); }
static void cursors_declared(int who) { prepared_with(who, "UseDeclareFetch=1;Fetch=10"); }

/* A handle dropped and made again tends to get the same address, hence the same statement name. */
static void dropped(int who) {
    struct connection c = open_connection("");
    SQLINTEGER value;
    for (int n = 0; n < 60; n++) {
        SQLHSTMT s = statement(c);
        must(SQLPrepare(s, (SQLCHAR *)own(who, n % 2 ? "odd" : "even"), SQL_NTS), SQL_HANDLE_STMT, s, "prepare");
        bind(s, &value);
        for (value = 0; value < 3; value++) {
            must(SQLExecute(s), SQL_HANDLE_STMT, s, "execute");
            check(s, who, value, "a new handle");
        }
        drop(s);
    }
    close_connection(c);
}

static void transactions(int who) {
    struct connection c = open_connection("");
    SQLINTEGER value;
    char sql[100];
    must(SQLSetConnectAttr(c.handle, SQL_ATTR_AUTOCOMMIT, (SQLPOINTER)SQL_AUTOCOMMIT_OFF, 0), SQL_HANDLE_DBC, c.handle, "autocommit");
    for (int n = 0; n < 20; n++) {
        SQLHSTMT s = statement(c), insert = statement(c);
        must(SQLPrepare(s, (SQLCHAR *)own(who, "in a transaction"), SQL_NTS), SQL_HANDLE_STMT, s, "prepare");
        bind(s, &value);
        value = n;
        must(SQLExecute(s), SQL_HANDLE_STMT, s, "execute");
        check(s, who, n, "in a transaction");
        snprintf(sql, sizeof sql, "insert into odbc_keep values (%d, ?)", who);
        must(SQLPrepare(insert, (SQLCHAR *)sql, SQL_NTS), SQL_HANDLE_STMT, insert, "prepare");
        bind(insert, &value);
        must(SQLExecute(insert), SQL_HANDLE_STMT, insert, "insert");
        drop(insert); /* DEALLOCATE before the COMMIT, which must still keep the row */

        /* A statement that fails goes back to its savepoint, and the transaction lives. */
        SQLHSTMT bad = statement(c);
        must(SQLPrepare(bad, (SQLCHAR *)"select 1/?::int", SQL_NTS), SQL_HANDLE_STMT, bad, "prepare");
        SQLINTEGER zero = 0;
        bind(bad, &zero);
        SQLRETURN r = SQLExecute(bad);
        if (SQL_SUCCEEDED(r)) r = SQLFetch(bad);
        expect_error(bad, r, "22012", "1/0");
        drop(bad);
        value = n + 1;
        must(SQLExecute(s), SQL_HANDLE_STMT, s, "after an error");
        check(s, who, n + 1, "after an error");
        must(SQLEndTran(SQL_HANDLE_DBC, c.handle, SQL_COMMIT), SQL_HANDLE_DBC, c.handle, "commit");

        run(c, "insert into odbc_keep values (0, 0)");
        must(SQLEndTran(SQL_HANDLE_DBC, c.handle, SQL_ROLLBACK), SQL_HANDLE_DBC, c.handle, "rollback");
        value = n + 2;
        must(SQLExecute(s), SQL_HANDLE_STMT, s, "after a rollback");
        check(s, who, n + 2, "after a rollback");
        must(SQLEndTran(SQL_HANDLE_DBC, c.handle, SQL_COMMIT), SQL_HANDLE_DBC, c.handle, "commit");
        drop(s);
        must(SQLEndTran(SQL_HANDLE_DBC, c.handle, SQL_COMMIT), SQL_HANDLE_DBC, c.handle, "commit");
    }
    SQLHSTMT s = statement(c);
    snprintf(sql, sizeof sql, "select %d, count(*)::int from odbc_keep where who = %d", who, who);
    must(SQLExecDirect(s, (SQLCHAR *)sql, SQL_NTS), SQL_HANDLE_STMT, s, sql);
    check(s, who, 20, "committed rows");
    drop(s);
    must(SQLEndTran(SQL_HANDLE_DBC, c.handle, SQL_COMMIT), SQL_HANDLE_DBC, c.handle, "commit");
    close_connection(c);
}

static void failures(int who) {
    struct connection c = open_connection("");
    for (int n = 0; n < 20; n++) {
        SQLINTEGER value = n, zero = 0;
        SQLHSTMT s = statement(c);
        must(SQLPrepare(s, (SQLCHAR *)"select ? nonsense from where", SQL_NTS), SQL_HANDLE_STMT, s, "prepare");
        bind(s, &value);
        expect_error(s, SQLExecute(s), "42601", "nonsense");
        /* The same handle, so the same name, with a good text. */
        must(SQLPrepare(s, (SQLCHAR *)own(who, "after nonsense"), SQL_NTS), SQL_HANDLE_STMT, s, "prepare");
        must(SQLExecute(s), SQL_HANDLE_STMT, s, "execute");
        check(s, who, n, "the same handle after a failed Parse");
        must(SQLPrepare(s, (SQLCHAR *)"select 7, 1/?::int", SQL_NTS), SQL_HANDLE_STMT, s, "prepare");
        bind(s, &zero);
        SQLRETURN r = SQLExecute(s);
        if (SQL_SUCCEEDED(r)) r = SQLFetch(s);
        expect_error(s, r, "22012", "1/0");
        SQLFreeStmt(s, SQL_CLOSE);
        zero = 1;
        must(SQLExecute(s), SQL_HANDLE_STMT, s, "after a failed execution");
        check(s, 7, 1, "after a failed execution");
        drop(s);
    }
    close_connection(c);
}

static void set_up(int who) {
    if (who != 1) return;
    struct connection c = open_connection("");
    run(c, "drop table if exists odbc_keep");
    run(c, "create table odbc_keep (who int, n int)");
    close_connection(c);
}

int main(void) {
    in_processes("connect", set_up);
    in_processes("prepared", prepared);
    in_processes("prepared by the client", client_side);
    in_processes("prepared, without savepoints", no_savepoints);
    in_processes("prepared, UseDeclareFetch", cursors_declared);
    in_processes("dropped and made again", dropped);
    in_processes("transactions, autocommit off", transactions);
    in_processes("failed statements", failures);
    return 0;
}
