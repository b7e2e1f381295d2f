// pgx version 4 in all its ways to run a query, with batches, COPY and statements of the same name on every connection.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgconn/stmtcache"
	"github.com/jackc/pgx/v4"
)

const (
	connections = 6
	rounds      = 150
)

var ctx = context.Background()

func fail(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "FAILED "+format+"\n", arguments...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func cache(mode int) pgx.BuildStatementCacheFunc {
	return func(connection *pgconn.PgConn) stmtcache.Cache { return stmtcache.New(connection, mode, 20) }
}

var modes = map[string]func(*pgx.ConnConfig){
	"cache_statement": func(c *pgx.ConnConfig) { c.BuildStatementCache = cache(stmtcache.ModePrepare) },
	"cache_describe":  func(c *pgx.ConnConfig) { c.BuildStatementCache = cache(stmtcache.ModeDescribe) },
	"describe_exec":   func(c *pgx.ConnConfig) { c.BuildStatementCache = nil },
	"simple_protocol": func(c *pgx.ConnConfig) { c.PreferSimpleProtocol = true },
}

func connect(mode string) *pgx.Conn {
	config, err := pgx.ParseConfig("sslmode=disable") // the rest comes from PGHOST and its like
	must(err, "configuration")
	modes[mode](config)
	connection, err := pgx.ConnectConfig(ctx, config)
	must(err, "connect")
	return connection
}

func everywhere(name, mode string, work func(db *pgx.Conn, who int)) {
	var group sync.WaitGroup
	for i := 1; i <= connections; i++ {
		group.Add(1)
		go func(who int) {
			defer group.Done()
			db := connect(mode)
			work(db, who)
			must(db.Close(ctx), name)
		}(i)
	}
	group.Wait()
	fmt.Printf("ok %s, %s\n", name, mode)
}

func own(who int, label string) string {
	return fmt.Sprintf("select %d, $1::text /* %s */", who, label)
}

func check(r pgx.Row, who int, asked, what string) {
	var gotWho int
	var gotAsked string
	must(r.Scan(&gotWho, &gotAsked), what)
	if gotWho != who || gotAsked != asked {
		fail("%s: asked for %d,%s and got %d,%s", what, who, asked, gotWho, gotAsked)
	}
}

func expectError(err error, state, what string) {
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != state {
		fail("%s: expected %s, got %v", what, state, err)
	}
}

func queries(db *pgx.Conn, who int) {
	for n := 0; n < rounds; n++ {
		asked := strconv.Itoa(n)
		check(db.QueryRow(ctx, own(who, fmt.Sprint("query ", n%30)), asked), who, asked, "query") // more than the cache holds
	}
}

func transactions(db *pgx.Conn, who int) {
	for n := 0; n < 30; n++ {
		asked := strconv.Itoa(n)
		t, err := db.Begin(ctx)
		must(err, "begin")
		_, err = t.Exec(ctx, "insert into pgx_keep values ($1, $2)", who, n)
		must(err, "insert")
		check(t.QueryRow(ctx, own(who, "in a transaction"), asked), who, asked, "in a transaction")
		nested, err := t.Begin(ctx) // a savepoint
		must(err, "savepoint")
		_, err = nested.Exec(ctx, "select 1/$1::int", 0)
		expectError(err, "22012", "1/0")
		must(nested.Rollback(ctx), "rollback to the savepoint")
		check(t.QueryRow(ctx, own(who, "after a savepoint"), asked), who, asked, "after a savepoint")
		must(t.Commit(ctx), "commit")
	}
	check(db.QueryRow(ctx, fmt.Sprintf("select %d, count(*)::text from pgx_keep where who = $1", who), who), who, "30", "committed rows")
	_, err := db.Exec(ctx, "delete from pgx_keep where who = $1", who)
	must(err, "delete")
}

func batches(db *pgx.Conn, who int) {
	for round := 0; round < 20; round++ {
		batch := &pgx.Batch{}
		for n := 0; n < 10; n++ {
			batch.Queue(own(who, fmt.Sprint("batch ", n%3)), strconv.Itoa(n))
		}
		results := db.SendBatch(ctx, batch)
		for n := 0; n < 10; n++ {
			check(results.QueryRow(), who, strconv.Itoa(n), "batch")
		}
		must(results.Close(), "batch")

		batch = &pgx.Batch{}
		batch.Queue(own(who, "before"), "1")
		batch.Queue("select 1/$1::int", 0)
		batch.Queue(own(who, "skipped"), "2")
		results = db.SendBatch(ctx, batch)
		check(results.QueryRow(), who, "1", "batch")
		_, err := results.Exec()
		expectError(err, "22012", "1/0 in a batch")
		if results.Close() == nil {
			fail("a batch with an error ends without one")
		}
		check(db.QueryRow(ctx, own(who, "after"), "3"), who, "3", "after a failed batch")
	}
}

func failures(db *pgx.Conn, who int) {
	for n := 0; n < 30; n++ {
		asked := strconv.Itoa(n)
		_, err := db.Exec(ctx, "select nonsense from where $1", 1)
		expectError(err, "42601", "nonsense")
		check(db.QueryRow(ctx, own(who, "after nonsense"), asked), who, asked, "after nonsense")
		_, err = db.Exec(ctx, "select 1/$1::int", 0)
		expectError(err, "22012", "1/0")
		check(db.QueryRow(ctx, own(who, "after 1/0"), asked), who, asked, "after 1/0")
	}
}

func statements(db *pgx.Conn, who int) {
	for n := 0; n < 30; n++ {
		asked := strconv.Itoa(n)
		_, err := db.Prepare(ctx, "mine", "select nonsense from where")
		expectError(err, "42601", "nonsense, prepared")
		_, err = db.Prepare(ctx, "mine", own(who, fmt.Sprint("prepared ", n)))
		must(err, "the same name after a failed Parse")
		for m := 0; m < 5; m++ {
			check(db.QueryRow(ctx, "mine", asked), who, asked, "prepared")
		}
		_, err = db.PgConn().Prepare(ctx, "mine", "select 'twice'", nil)
		expectError(err, "42P05", "duplicate name")
		t, err := db.Begin(ctx)
		must(err, "begin")
		check(t.QueryRow(ctx, "mine", asked), who, asked, "prepared, in a transaction")
		_, err = t.Exec(ctx, "insert into pgx_keep values ($1, $2)", who, n)
		must(err, "insert")
		must(db.Deallocate(ctx, "mine"), "deallocate") // SQL text before version 5
		must(t.Commit(ctx), "commit")
		r := db.PgConn().ExecPrepared(ctx, "mine", [][]byte{[]byte("1")}, nil, nil).Read()
		expectError(r.Err, "26000", "a deallocated name")
	}
	check(db.QueryRow(ctx, fmt.Sprintf("select %d, count(*)::text from pgx_keep where who = $1", who), who), who, "30", "committed rows")
	_, err := db.Exec(ctx, "delete from pgx_keep where who = $1", who)
	must(err, "delete")
	_, err = db.Exec(ctx, "deallocate all")
	must(err, "deallocate all")
}

func copyFrom(db *pgx.Conn, who int) {
	for round := 1; round <= 5; round++ {
		rows := make([][]interface{}, 500)
		for n := range rows {
			rows[n] = []interface{}{int32(who), int32(n)}
		}
		copied, err := db.CopyFrom(ctx, pgx.Identifier{"pgx_copy"}, []string{"who", "n"}, pgx.CopyFromRows(rows))
		must(err, "copy")
		if copied != 500 {
			fail("%d rows copied", copied)
		}
		check(db.QueryRow(ctx, "select who, count(*)::text from pgx_copy where who = $1 group by 1", who), who, strconv.Itoa(round*500), "rows")
	}
	_, err := db.Exec(ctx, "delete from pgx_copy where who = $1", who)
	must(err, "delete")
}

func cancel(db *pgx.Conn, who int) {
	for n := 0; n < 10; n++ {
		if who%2 == 1 {
			done := make(chan error)
			go func() {
				_, err := db.Exec(ctx, "select pg_sleep(60)")
				done <- err
			}()
			attempts := 0
		waiting:
			for {
				select {
				case err := <-done:
					expectError(err, "57014", "a cancelled query")
					break waiting
				case <-time.After(100 * time.Millisecond):
					if attempts++; attempts > 100 {
						fail("not cancelled")
					}
					must(db.PgConn().CancelRequest(ctx), "cancel")
				}
			}
			db.Exec(ctx, "select 1") // a second, late request of our own may still hit this one
		} else {
			for m := 0; m < 10; m++ {
				text := fmt.Sprintf("select %d, $1::text from pg_sleep(0.005)", who)
				check(db.QueryRow(ctx, text, "5"), who, "5", "beside somebody's cancel")
			}
		}
	}
}

func main() {
	db := connect("simple_protocol")
	_, err := db.Exec(ctx, "drop table if exists pgx_keep, pgx_copy; create table pgx_keep (who int, n int); create table pgx_copy (who int, n int)")
	must(err, "set up")
	must(db.Close(ctx), "close")
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "simple_protocol"} {
		everywhere("queries", mode, queries)
		everywhere("transactions", mode, transactions)
		everywhere("batches", mode, batches)
		everywhere("failed statements", mode, failures)
		everywhere("COPY", mode, copyFrom)
	}
	everywhere("named statements", "cache_statement", statements)
	everywhere("cancel", "cache_statement", cancel)
}
