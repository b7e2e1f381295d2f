// Spring's JdbcTemplate and TransactionTemplate over HikariCP: the application.properties of docs/using/spring.md, and what it warns of.
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;
import org.springframework.dao.DuplicateKeyException;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.transaction.TransactionDefinition;
import org.springframework.transaction.support.TransactionTemplate;

public class SpringHikari {
    static final int THREADS = 6;
    static final int ROUNDS = 60;
    static final String HOST = System.getenv("PGHOST");
    static final String PORT = System.getenv("PGPORT");

    interface Work {
        void run(int who) throws Exception;
    }

    static void fail(String message) {
        System.err.println("FAILED " + message);
        Runtime.getRuntime().halt(1);
    }

    static void expect(Object got, Object wanted, String what) {
        if (!wanted.equals(got)) fail(what + ": expected " + wanted + ", got " + got);
    }

    static void everywhere(String name, Work work) throws Exception {
        CountDownLatch done = new CountDownLatch(THREADS);
        for (int i = 1; i <= THREADS; i++) {
            int who = i;
            new Thread(() -> {
                try {
                    work.run(who);
                } catch (Throwable e) {
                    e.printStackTrace();
                    fail(name + ", thread " + who + ": " + e);
                }
                done.countDown();
            }).start();
        }
        done.await();
        System.out.println("ok " + name);
    }

    /** The page's properties as Spring Boot binds them. */
    static HikariDataSource pool(String more) throws Exception {
        Path page = Path.of(System.getenv("PAGES"), "spring.md");
        var block = Pattern.compile("^```properties\n(.*?)^```", Pattern.DOTALL | Pattern.MULTILINE).matcher(Files.readString(page));
        if (!block.find()) fail("no properties on the page");
        Properties read = new Properties();
        read.load(new StringReader(block.group(1)));
        Properties hikari = new Properties();
        for (String key : read.stringPropertyNames()) {
            if (!key.startsWith("spring.datasource.hikari.")) continue;
            String[] words = key.substring("spring.datasource.hikari.".length()).split("-");
            StringBuilder name = new StringBuilder(words[0]);
            for (int i = 1; i < words.length; i++) name.append(words[i].substring(0, 1).toUpperCase()).append(words[i].substring(1));
            hikari.setProperty(name.toString(), read.getProperty(key));
        }
        HikariConfig config = new HikariConfig(hikari);
        String url = read.getProperty("spring.datasource.url").replaceFirst("//[^/]*/[^?]*", "//" + HOST + ":" + PORT + "/" + System.getenv("PGDATABASE"));
        config.setJdbcUrl(url + more);
        config.setUsername(System.getenv("PGUSER"));
        config.setPassword(System.getenv("PGPASSWORD"));
        return new HikariDataSource(config);
    }

    static void records(HikariDataSource source, String name) throws Exception {
        JdbcTemplate jdbc = new JdbcTemplate(source);
        TransactionTemplate transaction = new TransactionTemplate(new DataSourceTransactionManager(source));
        everywhere(name, who -> {
            jdbc.update("delete from spring_keep where who = ?", who);
            for (int n = 0; n < ROUNDS; n++) {
                int round = n;
                jdbc.update("insert into spring_keep values (?, ?)", who, n);
                expect(jdbc.queryForObject("select count(*) from spring_keep where who = ?", Integer.class, who), n + 1, "count");
                expect(jdbc.queryForObject("select ?::text", String.class, who + "-" + n), who + "-" + n, "own row");
                transaction.execute(status -> {
                    jdbc.update("update spring_keep set n = n where who = ? and n = ?", who, round);
                    Object savepoint = status.createSavepoint();
                    try {
                        jdbc.update("insert into spring_keep values (?, ?)", who, round);
                        fail("a row twice");
                    } catch (DuplicateKeyException e) {
                        status.rollbackToSavepoint(savepoint);
                    }
                    expect(jdbc.queryForObject("select count(*) from spring_keep where who = ?", Integer.class, who), round + 1, "after a savepoint");
                    return null;
                });
                transaction.execute(status -> {
                    jdbc.update("delete from spring_keep where who = ?", who);
                    status.setRollbackOnly();
                    return null;
                });
            }
            // With a fetch size the driver reads through a portal, which lives as long as the transaction.
            JdbcTemplate slow = new JdbcTemplate(source);
            slow.setFetchSize(7);
            transaction.execute(status -> {
                List<Integer> rows = slow.queryForList("select n from spring_keep where who = ? order by n", Integer.class, who);
                expect(rows.size(), ROUNDS, "rows by sevens");
                for (int n = 0; n < ROUNDS; n++) expect(rows.get(n), n, "a row of a portal");
                return null;
            });
        });
    }

    public static void main(String[] arguments) throws Exception {
        boolean isPooled = !System.getenv("POOLER").isEmpty();
        try (HikariDataSource source = pool("")) {
            System.out.println("Spring " + JdbcTemplate.class.getPackage().getImplementationVersion() + ", HikariCP "
                + HikariDataSource.class.getPackage().getImplementationVersion() + ", JDBC driver " + org.postgresql.Driver.getVersion());
            JdbcTemplate jdbc = new JdbcTemplate(source);
            jdbc.execute("drop table if exists spring_keep; create table spring_keep (who int, n int, primary key (who, n))");
            records(source, "JdbcTemplate with the page's settings");

            TransactionTemplate readOnly = new TransactionTemplate(new DataSourceTransactionManager(source));
            readOnly.setReadOnly(true);
            everywhere("read-only transactions", who -> {
                for (int n = 0; n < 20; n++) {
                    expect(readOnly.execute(s -> jdbc.queryForObject("show transaction_read_only", String.class)), "on", "inside");
                    expect(jdbc.queryForObject("show transaction_read_only", String.class), "off", "outside");
                }
            });

            TransactionTemplate inside = new TransactionTemplate(new DataSourceTransactionManager(source));
            everywhere("an isolation level that the transaction itself sets", who -> {
                for (int n = 0; n < 20; n++) {
                    expect(inside.execute(s -> {
                        jdbc.execute("set transaction isolation level serializable");
                        return jdbc.queryForObject("show transaction_isolation", String.class);
                    }), "serializable", "inside");
                    expect(jdbc.queryForObject("show transaction_isolation", String.class), "read committed", "outside");
                }
            });
        }
        try (HikariDataSource source = pool("&prepareThreshold=0")) {
            records(source, "JdbcTemplate with prepareThreshold=0");
        }
        try (HikariDataSource source = pool("&currentSchema=spring_own,public&options=-c%20statement_timeout=7s%20-c%20default_transaction_isolation=serializable")) {
            JdbcTemplate jdbc = new JdbcTemplate(source);
            everywhere("values of the URL follow the connection", who -> {
                for (int n = 0; n < ROUNDS; n++) {
                    String got = jdbc.queryForObject(
                        "select current_setting('search_path') || ' ' || current_setting('statement_timeout') || ' ' || current_setting('transaction_isolation')", String.class);
                    expect(got, "spring_own,public 7s serializable", "settings");
                }
            });
        }
        if (isPooled) {
            // Spring sets it for the session, one statement ahead of the transaction.
            AtomicInteger wrong = new AtomicInteger();
            try (HikariDataSource source = pool("")) {
                JdbcTemplate jdbc = new JdbcTemplate(source);
                TransactionTemplate level = new TransactionTemplate(new DataSourceTransactionManager(source));
                level.setIsolationLevel(TransactionDefinition.ISOLATION_SERIALIZABLE);
                everywhere("@Transactional(isolation = SERIALIZABLE)", who -> {
                    for (int n = 0; n < ROUNDS; n++) {
                        String got = level.execute(s -> jdbc.queryForObject("show transaction_isolation", String.class));
                        if (!"serializable".equals(got)) wrong.incrementAndGet();
                    }
                });
            }
            System.out.println("ok of " + THREADS * ROUNDS + " such transactions " + wrong + " had another level");
            if (wrong.get() == 0) fail("the trap that the page tells of is none");
        }
    }
}
