// pgjdbc: four query modes by three prepare thresholds, then portals across Syncs, batches, cancels and failures.
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

public class Jdbc {
    static final int CONNECTIONS = 6;
    static final int ROUNDS = 60;

    interface Work {
        void run(Connection db, int who) throws Exception;
    }

    static void fail(String message) {
        throw new AssertionError(message);
    }

    static Connection connect(String more) throws SQLException {
        Map<String, String> e = System.getenv();
        return DriverManager.getConnection("jdbc:postgresql://" + e.get("PGHOST") + ":" + e.get("PGPORT") + "/" + e.get("PGDATABASE")
            + "?sslmode=disable&" + more, e.get("PGUSER"), e.get("PGPASSWORD"));
    }

    static void everywhere(String name, String more, Work work) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(CONNECTIONS);
        List<Future<?>> all = new ArrayList<>();
        for (int i = 1; i <= CONNECTIONS; i++) {
            int who = i;
            all.add(threads.submit(() -> {
                try (Connection db = connect(more)) {
                    work.run(db, who);
                }
                return null;
            }));
        }
        for (Future<?> one : all) {
            try {
                one.get();
            } catch (ExecutionException e) {
                System.err.println("FAILED " + name + ", " + more + ": " + e.getCause());
                e.getCause().printStackTrace();
                System.exit(1);
            }
        }
        threads.shutdown();
        System.out.println("ok " + name + (more.isEmpty() ? "" : ", " + more));
    }

    static String own(int who, String label) {
        return "select " + who + ", ?::text /* " + label + " */";
    }

    static void check(ResultSet rows, int who, String asked, String what) throws SQLException {
        if (!rows.next()) fail(what + ": no row");
        if (rows.getInt(1) != who || !rows.getString(2).equals(asked))
            fail(what + ": asked for " + who + "," + asked + " and got " + rows.getInt(1) + "," + rows.getString(2));
    }

    static void ask(PreparedStatement s, int who, String asked, String what) throws SQLException {
        s.setString(1, asked);
        try (ResultSet rows = s.executeQuery()) {
            check(rows, who, asked, what);
            if (rows.next()) fail(what + ": a row too many");
        }
    }

    interface Attempt {
        void run() throws SQLException;
    }

    static void expectError(String state, String what, Attempt attempt) throws SQLException {
        try {
            attempt.run();
        } catch (SQLException e) {
            if (!state.equals(e.getSQLState())) throw e;
            return;
        }
        fail(what + " works");
    }

    static void queries(Connection db, int who) throws SQLException {
        try (PreparedStatement a = db.prepareStatement(own(who, "a")); PreparedStatement b = db.prepareStatement(own(who, "b"))) {
            for (int n = 0; n < ROUNDS; n++) {
                ask(n % 2 == 0 ? a : b, who, "" + n, "prepared");
                try (PreparedStatement once = db.prepareStatement(own(who, "once " + n % 9))) {
                    ask(once, who, "" + n, "prepared for once");
                }
                try (Statement plain = db.createStatement(); ResultSet rows = plain.executeQuery("select " + who + ", '" + n + "'")) {
                    check(rows, who, "" + n, "plain");
                }
            }
        }
    }

    static void transactions(Connection db, int who) throws SQLException {
        boolean autosave = db.unwrap(org.postgresql.PGConnection.class).getAutosave() == org.postgresql.jdbc.AutoSave.ALWAYS;
        db.setAutoCommit(false);
        for (int n = 0; n < 15; n++) {
            try (PreparedStatement insert = db.prepareStatement("insert into jdbc_keep values (?, ?)")) {
                insert.setInt(1, who);
                insert.setInt(2, n);
                insert.executeUpdate();
            }
            Savepoint here = db.setSavepoint();
            try (PreparedStatement s = db.prepareStatement("select 1/?")) {
                s.setInt(1, 0);
                expectError("22012", "1/0", s::executeQuery);
            }
            db.rollback(here);
            try (PreparedStatement s = db.prepareStatement(own(who, "in a transaction"))) {
                ask(s, who, "" + n, "in a transaction");
            }
            db.commit();
            try (PreparedStatement s = db.prepareStatement(own(who, "rolled back"))) {
                ask(s, who, "" + n, "to be rolled back");
                try (PreparedStatement bad = db.prepareStatement("insert into jdbc_keep values (?, 1/?)")) {
                    bad.setInt(1, who);
                    bad.setInt(2, 0);
                    expectError("22012", "1/0", bad::executeUpdate);
                }
                s.setString(1, "1");
                if (!autosave) expectError("25P02", "after 1/0", s::executeQuery); // it went back to its own savepoint
            }
            db.rollback();
        }
        try (PreparedStatement s = db.prepareStatement("select " + who + ", count(*)::text from jdbc_keep where who = ?")) {
            s.setInt(1, who);
            try (ResultSet rows = s.executeQuery()) {
                check(rows, who, "15", "committed rows");
            }
        }
        try (Statement s = db.createStatement()) {
            s.executeUpdate("delete from jdbc_keep where who = " + who);
        }
        db.commit();
        db.setAutoCommit(true);
    }

    // The portal lives over many Syncs, inside the transaction.
    static void fetchSize(Connection db, int who) throws SQLException {
        db.setAutoCommit(false);
        for (int round = 0; round < 5; round++) {
            try (PreparedStatement s = db.prepareStatement("select ?::int, n::text from generate_series(0, 99) n");
                 PreparedStatement other = db.prepareStatement(own(who, "beside a portal"))) {
                s.setFetchSize(10);
                s.setInt(1, who);
                try (ResultSet rows = s.executeQuery()) {
                    for (int n = 0; n < 100; n++) {
                        check(rows, who, "" + n, "fetched in tens");
                        if (n % 25 == 24) ask(other, who, "" + n, "beside a portal");
                    }
                    if (rows.next()) fail("a row too many");
                }
            }
            db.commit();
        }
        db.setAutoCommit(true);
    }

    static void batches(Connection db, int who) throws SQLException {
        for (int round = 0; round < 10; round++) {
            try (PreparedStatement s = db.prepareStatement("insert into jdbc_keep values (?, ?)")) {
                for (int n = 0; n < 50; n++) {
                    s.setInt(1, who);
                    s.setInt(2, n);
                    s.addBatch();
                }
                for (int count : s.executeBatch()) if (count != 1 && count != Statement.SUCCESS_NO_INFO) fail("batch: " + count);
            }
            try (PreparedStatement s = db.prepareStatement("insert into jdbc_keep values (?, 10/?)")) {
                for (int n = 0; n < 5; n++) {
                    s.setInt(1, -who);
                    s.setInt(2, n == 3 ? 0 : 1);
                    s.addBatch();
                }
                try {
                    s.executeBatch();
                    fail("a batch with 1/0 works");
                } catch (BatchUpdateException e) {
                    if (!"22012".equals(e.getSQLState())) throw e;
                }
            }
        }
        try (PreparedStatement s = db.prepareStatement("select " + who + ", count(*)::text from jdbc_keep where who = ?")) {
            s.setInt(1, who);
            try (ResultSet rows = s.executeQuery()) {
                check(rows, who, "500", "rows of batches");
            }
        }
        try (Statement s = db.createStatement()) {
            s.executeUpdate("delete from jdbc_keep where abs(who) = " + who);
        }
    }

    static void failures(Connection db, int who) throws SQLException {
        try (PreparedStatement bad = db.prepareStatement("select nonsense from where ?");
             PreparedStatement divide = db.prepareStatement("select " + who + ", (10/?)::text");
             PreparedStatement word = db.prepareStatement("select " + who + ", (?::text)::int::text")) {
            for (int n = 0; n < 20; n++) {
                bad.setInt(1, 1);
                expectError("42601", "nonsense", bad::executeQuery);
                divide.setInt(1, 0);
                expectError("22012", "1/0", divide::executeQuery);
                word.setString(1, "word");
                expectError("22P02", "not a number", word::executeQuery);
                divide.setInt(1, 2);
                try (ResultSet rows = divide.executeQuery()) {
                    check(rows, who, "5", "the same statement after its failure");
                }
                ask(word, who, "" + n, "the same statement after its failure");
            }
        }
    }

    // After 0A000 pgjdbc forgets its statement, so that the next use prepares again. It must come to that: an error of
    // another kind from a server that parsed after the DDL (the client's idea of the columns is from before) heals nothing.
    static void stalePlans(Connection db, int who) throws SQLException {
        for (int round = 0; round < 5; round++) {
            String table = "jdbc_stale_" + who + "_" + round;
            String sql = "select * from " + table;
            try (Statement s = db.createStatement()) {
                s.execute("create table " + table + " as select " + who + " as who, 'x'::text as t");
                for (int n = 0; n < 20; n++) {
                    try (PreparedStatement p = db.prepareStatement(sql); ResultSet rows = p.executeQuery()) {
                        check(rows, who, "x", "before ALTER TABLE");
                    }
                }
                s.execute("alter table " + table + " add column more int");
                int healed = 0, refused = 0;
                while (healed < 20) {
                    try (PreparedStatement p = db.prepareStatement(sql); ResultSet rows = p.executeQuery()) {
                        check(rows, who, "x", "after ALTER TABLE");
                        if (rows.getMetaData().getColumnCount() != 3) fail("columns are missing after ALTER TABLE");
                        healed++;
                    } catch (SQLException e) {
                        if (!"0A000".equals(e.getSQLState()) || ++refused > 3) throw e;
                    }
                }
                s.execute("drop table " + table);
            }
        }
    }

    static void settings(Connection db, int who) throws SQLException {
        db.setClientInfo("ApplicationName", "jdbc " + who); // SET in the extended protocol
        for (int n = 0; n < ROUNDS; n++) {
            try (PreparedStatement s = db.prepareStatement("select " + who + ", current_setting('application_name') || ', '"
                    + " || current_setting('statement_timeout') || ', ' || current_setting('TimeZone') where ?::text = '1'")) {
                s.setString(1, "1");
                try (ResultSet rows = s.executeQuery()) {
                    check(rows, who, "jdbc " + who + ", 123456ms, " + TimeZone.getDefault().getID(), "settings");
                }
            }
        }
    }

    static void cancels(Connection db, int who) throws SQLException {
        for (int n = 0; n < 4; n++) {
            if (who % 2 == 1) {
                try (Statement s = db.createStatement()) {
                    s.setQueryTimeout(1); // whole seconds; the request goes out once, so its query must be running by then
                    expectError("57014", "query timeout", () -> s.execute("select pg_sleep(60)"));
                }
                try (PreparedStatement s = db.prepareStatement(own(who, "after cancel"))) {
                    ask(s, who, "" + n, "after cancel");
                }
            } else {
                for (int m = 0; m < 40; m++) {
                    try (PreparedStatement s = db.prepareStatement("select " + who + ", ?::text from pg_sleep(0.02)")) {
                        ask(s, who, "" + m, "beside somebody's cancel");
                    }
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection db = connect(""); Statement s = db.createStatement()) {
            s.execute("drop table if exists jdbc_keep; create table jdbc_keep (who int, n int)");
        }
        for (String mode : List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything")) {
            for (int threshold : List.of(0, 1, 5)) {
                String more = "preferQueryMode=" + mode + "&prepareThreshold=" + threshold;
                everywhere("queries", more, Jdbc::queries);
                everywhere("transactions", more, Jdbc::transactions);
                if (!mode.equals("simple")) everywhere("fetch size", more, Jdbc::fetchSize);
                everywhere("batches", more, Jdbc::batches);
                everywhere("failed statements", more, Jdbc::failures);
            }
        }
        everywhere("batches", "reWriteBatchedInserts=true", Jdbc::batches);
        everywhere("few cached statements", "prepareThreshold=1&preparedStatementCacheQueries=3", Jdbc::queries);
        everywhere("transactions", "autosave=always&prepareThreshold=1", Jdbc::transactions);
        everywhere("stale plans after DDL", "prepareThreshold=1", Jdbc::stalePlans);
        TimeZone.setDefault(TimeZone.getTimeZone("Asia/Kathmandu"));
        everywhere("settings", "options=-c%20statement_timeout%3D123456", Jdbc::settings);
        everywhere("cancel by query timeout", "", Jdbc::cancels);
    }
}
