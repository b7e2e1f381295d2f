/* libpqxx: unprepare() is DEALLOCATE as text, prepare() is late, pipeline glues queries together. */
#include "processes.h"

#include <pqxx/pqxx>

static std::string own(int who, const char *label) {
    return "select " + std::to_string(who) + ", $1::text /* " + label + " */";
}

static void check(const pqxx::result &rows, int who, const std::string &asked, const char *what) {
    if (rows.size() != 1 || rows[0].size() != 2) die("%s: %d rows", what, int(rows.size()));
    if (rows[0][0].as<int>() != who || rows[0][1].as<std::string>() != asked)
        die("%s: asked for %d,%s and got %s,%s", what, who, asked.c_str(), rows[0][0].c_str(), rows[0][1].c_str());
}

static void named(int who) {
    pqxx::connection c;
    for (int n = 0; n < 4; n++) c.prepare("s" + std::to_string(n), own(who, "named"));
    for (int n = 0; n < ROUNDS; n++) {
        pqxx::nontransaction t(c);
        check(t.exec_prepared("s" + std::to_string(n % 4), n), who, std::to_string(n), "exec_prepared");
    }
    for (int n = 0; n < ROUNDS / 5; n++) {
        pqxx::work t(c);
        for (int m = 0; m < 3; m++) check(t.exec_prepared("s" + std::to_string(m), m), who, std::to_string(m), "in a transaction");
        t.commit();
    }
}

static void params(int who) {
    pqxx::connection c;
    for (int n = 0; n < ROUNDS; n++) {
        pqxx::nontransaction t(c);
        check(t.exec_params(own(who, "params"), n), who, std::to_string(n), "exec_params");
    }
}

static void unprepare(int who) {
    pqxx::connection c;
    for (int n = 0; n < 30; n++) {
        c.prepare("again", own(who, n % 2 ? "odd" : "even"));
        {
            pqxx::work t(c);
            check(t.exec_prepared("again", n), who, std::to_string(n), "exec_prepared");
            t.exec_params("insert into pqxx_keep values ($1, $2)", who, n);
            if (n % 3 == 0) {
                c.unprepare("again"); /* in the middle of the transaction, which must still commit */
                c.prepare("again", own(who, "once more"));
                check(t.exec_prepared("again", n), who, std::to_string(n), "prepared again");
            }
            t.commit();
        }
        c.unprepare("again");
        try {
            pqxx::nontransaction t(c);
            t.exec_prepared("again", n);
            die("exec_prepared of an unprepared name works");
        } catch (const pqxx::failure &) { /* its own error or PostgreSQL's */
        } catch (const pqxx::argument_error &) {
        }
    }
    pqxx::work t(c);
    check(t.exec_params("select " + std::to_string(who) + ", count(*)::text from pqxx_keep where who = $1", who), who, "30", "committed rows");
}

static void failures(int who) {
    pqxx::connection c;
    for (int n = 0; n < 20; n++) {
        try {
            c.prepare("f", "select nonsense from");
            c.prepare_now("f");
            die("nonsense was prepared");
        } catch (const pqxx::sql_error &e) {
            if (e.sqlstate() != "42601") die("nonsense: %s %s", e.sqlstate().c_str(), e.what());
        }
        try { c.unprepare("f"); } catch (const pqxx::sql_error &) {} /* libpqxx remembers the name, PostgreSQL does not */
        c.prepare("f", own(who, "after a failure"));
        {
            pqxx::work t(c);
            check(t.exec_prepared("f", n), who, std::to_string(n), "the same name after a failed Parse");
            try {
                pqxx::subtransaction s(t);
                s.exec("select 1/0");
                die("1/0 works");
            } catch (const pqxx::sql_error &e) {
                if (e.sqlstate() != "22012") die("1/0: %s", e.what());
            }
            check(t.exec_prepared("f", n), who, std::to_string(n), "after a rolled back savepoint");
            t.commit();
        }
        c.unprepare("f");
    }
}

static void pipeline(int who) {
    pqxx::connection c;
    for (int round = 0; round < 10; round++) {
        pqxx::work t(c);
        {
            pqxx::pipeline p(t);
            p.retain(5);
            std::vector<std::pair<pqxx::pipeline::query_id, int>> asked;
            for (int n = 0; n < 20; n++) asked.emplace_back(p.insert("select " + std::to_string(who) + ", '" + std::to_string(n) + "'"), n);
            for (auto &a : asked) check(p.retrieve(a.first), who, std::to_string(a.second), "pipeline");
            p.complete();
        }
        t.commit();
    }
}

static void streams(int who) {
    pqxx::connection c;
    for (int round = 0; round < 5; round++) {
        pqxx::work t(c);
        t.exec_params("delete from pqxx_stream where who = $1", who);
        {
            pqxx::stream_to out(t, "pqxx_stream", std::vector<std::string>{"who", "n"});
            for (int n = 0; n < 1000; n++) out << std::make_tuple(who, n);
            out.complete();
        }
        check(t.exec_params("select who, count(*)::text from pqxx_stream where who = $1 group by 1", who), who, "1000", "COPY");
        t.commit();
    }
}

static void cursor(int who) {
    pqxx::connection c;
    for (int round = 0; round < 5; round++) {
        pqxx::work t(c);
        pqxx::stateless_cursor<pqxx::cursor_base::read_only, pqxx::cursor_base::owned> cursor(
            t, "select " + std::to_string(who) + ", n::text from generate_series(0, 99) n", "c", false);
        for (int n = 0; n < 100; n += 10)
            for (int m = 0; m < 10; m++) check(cursor.retrieve(n + m, n + m + 1), who, std::to_string(n + m), "cursor");
        t.commit();
    }
}

static void guarded(const char *name, void (*work)(int)) {
    static void (*todo)(int);
    todo = work;
    in_processes(name, [](int who) {
        try {
            todo(who);
        } catch (const std::exception &e) {
            die("%s", e.what());
        }
    });
}

int main() {
    {
        pqxx::connection c;
        pqxx::work t(c);
        t.exec("set local client_min_messages = error; drop table if exists pqxx_keep, pqxx_stream;"
               "create table pqxx_keep (who int, n int); create table pqxx_stream (who int, n int)");
        t.commit();
    }
    guarded("named statements", named);
    guarded("exec_params", params);
    guarded("unprepare", unprepare);
    guarded("failed statements", failures);
    guarded("pipeline", pipeline);
    guarded("COPY by streams", streams);
    guarded("cursors", cursor);
}
