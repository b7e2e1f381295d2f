// lib/pq: by default Parse "" with a Sync, and Bind "" only after it. Behind a pooler that forgets the unnamed statement
// at the Sync, the answer comes from somebody else's, without any error.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

const (
	connections = 6
	rounds      = 150
)

func fail(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "FAILED "+format+"\n", arguments...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func address(more string) string {
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s sslmode=disable %s",
		os.Getenv("PGHOST"), os.Getenv("PGPORT"), os.Getenv("PGUSER"), os.Getenv("PGPASSWORD"), os.Getenv("PGDATABASE"), more)
}

func everywhere(name, more string, work func(db *sql.Conn, who int)) {
	var group sync.WaitGroup
	for i := 1; i <= connections; i++ {
		group.Add(1)
		go func(who int) {
			defer group.Done()
			db, err := sql.Open("postgres", address(strings.ReplaceAll(more, "WHO", strconv.Itoa(who))))
			must(err, name)
			defer db.Close()
			connection, err := db.Conn(context.Background())
			must(err, name)
			work(connection, who)
			must(connection.Close(), name)
		}(i)
	}
	group.Wait()
	fmt.Println("ok", name)
}

func own(who int, label string) string {
	return fmt.Sprintf("select %d, $1::text /* %s */", who, label)
}

type row interface{ Scan(...interface{}) error }

func check(r row, who int, asked, what string) {
	var gotWho int
	var gotAsked string
	must(r.Scan(&gotWho, &gotAsked), what)
	if gotWho != who || gotAsked != asked {
		fail("%s: asked for %d,%s and got %d,%s", what, who, asked, gotWho, gotAsked)
	}
}

func expectError(err error, state, what string) {
	if e, ok := err.(*pq.Error); !ok || string(e.Code) != state {
		fail("%s: expected %s, got %v", what, state, err)
	}
}

func queries(db *sql.Conn, who int) {
	ctx := context.Background()
	for n := 0; n < rounds; n++ {
		asked := strconv.Itoa(n)
		check(db.QueryRowContext(ctx, own(who, "unnamed"), asked), who, asked, "unnamed")
		check(db.QueryRowContext(ctx, fmt.Sprintf("select %d, '%d'", who, n)), who, asked, "simple")
	}
}

func statements(db *sql.Conn, who int) {
	ctx := context.Background()
	var prepared []*sql.Stmt
	for n := 0; n < 3; n++ {
		s, err := db.PrepareContext(ctx, own(who, fmt.Sprint("prepared ", n)))
		must(err, "prepare")
		prepared = append(prepared, s)
	}
	for n := 0; n < rounds; n++ {
		asked := strconv.Itoa(n)
		check(prepared[n%3].QueryRowContext(ctx, asked), who, asked, "prepared")
	}
	for _, s := range prepared {
		must(s.Close(), "close")
	}
	for n := 0; n < 40; n++ {
		s, err := db.PrepareContext(ctx, own(who, fmt.Sprint("once ", n)))
		must(err, "prepare")
		asked := strconv.Itoa(n)
		check(s.QueryRowContext(ctx, asked), who, asked, "prepared for once")
		must(s.Close(), "close")
	}
}

func transactions(db *sql.Conn, who int) {
	ctx := context.Background()
	for n := 0; n < 30; n++ {
		t, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		must(err, "begin")
		_, err = t.Exec("insert into libpq_go_keep values ($1, $2)", who, n)
		must(err, "insert")
		s, err := t.Prepare(own(who, "in a transaction"))
		must(err, "prepare")
		asked := strconv.Itoa(n)
		check(s.QueryRow(asked), who, asked, "in a transaction")
		must(s.Close(), "close")
		must(t.Commit(), "commit")

		t, err = db.BeginTx(ctx, nil)
		must(err, "begin")
		_, err = t.Exec("insert into libpq_go_keep values ($1, $2)", -who, n)
		must(err, "insert")
		_, err = t.Exec("select 1/$1::int", 0)
		expectError(err, "22012", "1/0")
		_, err = t.Exec("select $1::int", 0)
		expectError(err, "25P02", "after 1/0")
		must(t.Rollback(), "rollback")
	}
	check(db.QueryRowContext(ctx, fmt.Sprintf("select %d, count(*) from libpq_go_keep where abs(who) = $1", who), who), who, "30", "committed rows")
}

func failures(db *sql.Conn, who int) {
	ctx := context.Background()
	for n := 0; n < 30; n++ {
		asked := strconv.Itoa(n)
		_, err := db.ExecContext(ctx, "select nonsense from where $1", 1)
		expectError(err, "42601", "nonsense")
		_, err = db.PrepareContext(ctx, "select nonsense from where $1")
		expectError(err, "42601", "nonsense, prepared")
		check(db.QueryRowContext(ctx, own(who, "after a failure"), asked), who, asked, "after a failure")
		_, err = db.ExecContext(ctx, "select 1/$1::int", 0)
		expectError(err, "22012", "1/0")
		check(db.QueryRowContext(ctx, own(who, "after 1/0"), asked), who, asked, "after 1/0")
	}
}

// Startup parameters are this client's on whichever server it gets. lib/pq sends whatever it does not know itself.
func settings(db *sql.Conn, who int) {
	for n := 0; n < rounds; n++ {
		text := fmt.Sprintf("select %d, current_setting('statement_timeout') || ' ' || current_setting('search_path') where $1::int >= 0", who)
		check(db.QueryRowContext(context.Background(), text, n), who, fmt.Sprintf("10000%dms own_%d", who, who), "settings")
	}
}

func copyIn(db *sql.Conn, who int) {
	ctx := context.Background()
	for round := 1; round <= 5; round++ {
		t, err := db.BeginTx(ctx, nil)
		must(err, "begin")
		s, err := t.Prepare(pq.CopyIn("libpq_go_copy", "who", "n"))
		must(err, "copy")
		for n := 0; n < 500; n++ {
			_, err = s.Exec(who, n)
			must(err, "copy a row")
		}
		_, err = s.Exec()
		must(err, "copy end")
		must(s.Close(), "close")
		must(t.Commit(), "commit")
		check(db.QueryRowContext(ctx, "select who, count(*) from libpq_go_copy where who = $1 group by 1", who), who, strconv.Itoa(round*500), "rows")
	}
}

func cancel(db *sql.Conn, who int) {
	for n := 0; n < 10; n++ {
		if who%2 == 1 {
			// lib/pq gives the connection up after a cancel, so each sleep has its own.
			pool, err := sql.Open("postgres", address(""))
			must(err, "open")
			one, err := pool.Conn(context.Background())
			must(err, "connect")
			soon, done := context.WithTimeout(context.Background(), 300*time.Millisecond)
			started := time.Now()
			_, err = one.ExecContext(soon, "select pg_sleep(60)")
			done()
			if err == nil || time.Since(started) > 30*time.Second {
				fail("not cancelled: %v", err)
			}
			one.Close()
			pool.Close()
		} else {
			for m := 0; m < 10; m++ {
				text := fmt.Sprintf("select %d, $1::text from pg_sleep(0.02)", who)
				check(db.QueryRowContext(context.Background(), text, "5"), who, "5", "beside somebody's cancel")
			}
		}
	}
}

func main() {
	db, err := sql.Open("postgres", address(""))
	must(err, "open")
	_, err = db.Exec("drop table if exists libpq_go_keep, libpq_go_copy; create table libpq_go_keep (who int, n int); create table libpq_go_copy (who int, n int)")
	must(err, "set up")
	must(db.Close(), "close")
	everywhere("unnamed across a Sync", "", queries)
	everywhere("binary_parameters", "binary_parameters=yes", queries)
	everywhere("prepared statements", "", statements)
	everywhere("transactions", "", transactions)
	everywhere("failed statements", "", failures)
	everywhere("startup parameters", "statement_timeout=10000WHO search_path=own_WHO", settings)
	if os.Getenv("POOLER") == "sluice" { // PostgreSQL and PgBouncer refuse these
		everywhere("leftovers of a URL", "pgbouncer=true connection_limit=1 pool_timeout=10 schema=public", queries)
	}
	everywhere("COPY", "", copyIn)
	everywhere("cancel", "", cancel)
}
