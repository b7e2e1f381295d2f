// pgjdbc as a client of the console, in each of its query modes. Started by test_console.py with the URL's parts in the environment;
// ends with a message and a non-zero status at the first wrong answer.
import java.sql.*;
import java.util.*;

public class JdbcConsole {
    static Connection connect(String more) throws SQLException {
        Map<String, String> e = System.getenv();
        return DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + e.get("PGPORT") + "/pgbouncer?sslmode=disable&" + more,
            e.get("PGUSER"), e.get("PGPASSWORD"));
    }

    static void check(boolean isRight, String what) {
        if (!isRight) throw new AssertionError(what);
    }

    static void topics(Connection db) throws SQLException {
        try (Statement s = db.createStatement(); ResultSet r = s.executeQuery("SHOW STATS")) {
            ResultSetMetaData columns = r.getMetaData();
            check(columns.getColumnCount() == 25 && columns.getColumnName(1).equals("database"), "columns of SHOW STATS");
            check(columns.getColumnType(1) == Types.VARCHAR && columns.getColumnType(2) == Types.NUMERIC, "types of SHOW STATS");
            check(r.next() && r.getString(1).equals("lab") && r.getLong("total_xact_count") == 1, "a row of SHOW STATS");
        }
        try (Statement s = db.createStatement(); ResultSet r = s.executeQuery("SHOW LISTS WHERE list = 'databases'")) {
            check(r.next() && r.getInt("items") == 3 && !r.next(), "SHOW LISTS");
        }
    }

    /** Often enough that the driver prepares it on the server and asks for binary values. */
    static void parameters(Connection db) throws SQLException {
        try (PreparedStatement s = db.prepareStatement("SHOW DATABASES WHERE name = ? ORDER BY name")) {
            for (int i = 0; i < 12; i++) {
                String name = i % 2 == 0 ? "lab" : "lab2";
                s.setString(1, name);
                try (ResultSet r = s.executeQuery()) {
                    check(r.next() && r.getString("name").equals(name) && r.getInt("pool_size") == 2 && !r.next(), "database " + name);
                    check(r.getMetaData().getColumnType(3) == Types.INTEGER, "the type of port");
                }
            }
        }
        try (PreparedStatement s = db.prepareStatement("SHOW TOTALS WHERE name = ?")) {
            for (int i = 0; i < 12; i++) {
                s.setString(1, "total_query_count");
                try (ResultSet r = s.executeQuery()) {
                    check(r.next() && r.getBigDecimal("value").signum() > 0, "a numeric value");
                }
            }
        }
    }

    static void portions(Connection db) throws SQLException {
        db.setAutoCommit(false);
        try (Statement s = db.createStatement()) {
            s.setFetchSize(7);
            int rows = 0;
            try (ResultSet r = s.executeQuery("SHOW CONFIG")) {
                while (r.next()) rows++;
            }
            check(rows > 90, "rows of SHOW CONFIG in portions: " + rows);
        }
        db.commit();
        db.setAutoCommit(true);
    }

    static void verbs(Connection db) throws SQLException {
        try (Statement s = db.createStatement()) {
            check(!s.execute("PAUSE lab2"), "PAUSE has no rows");
            s.execute("RESUME lab2");
            s.execute("SET server_idle_timeout = 77");
            try (ResultSet r = s.executeQuery("SHOW CONFIG WHERE key = server_idle_timeout")) {
                check(r.next() && r.getString("value").equals("77"), "what SET has set");
            }
            s.execute("RELOAD");
            try {
                s.execute("NONSENSE");
                check(false, "NONSENSE was taken");
            } catch (SQLException e) {
                check(e.getMessage().contains("invalid command 'NONSENSE"), e.getMessage());
            }
        }
        check(db.isValid(10), "the connection is not valid after an error");
    }

    /** Somebody else is in a transaction: PAUSE waits, and the driver's timeout cancels it. */
    static void timeout(Connection db) throws SQLException {
        try (Statement s = db.createStatement()) {
            s.setQueryTimeout(1);
            s.execute("PAUSE lab");
            check(false, "PAUSE did not wait");
        } catch (SQLException e) {
            check("57014".equals(e.getSQLState()), "the timeout: " + e);
        }
        try (Statement s = db.createStatement(); ResultSet r = s.executeQuery("SHOW DATABASES WHERE paused = 1")) {
            check(!r.next(), "the database is still paused");
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
            try (Connection db = connect("preferQueryMode=" + mode)) {
                topics(db);
                parameters(db);
                portions(db);
                verbs(db);
                timeout(db);
            } catch (Exception | AssertionError e) {
                System.err.println(mode + ": " + e);
                e.printStackTrace();
                System.exit(1);
            }
            System.out.println("ok " + mode);
        }
    }
}
