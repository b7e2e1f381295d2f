// GORM (version 1) over database/sql and lib/pq, with the pool settings of docs/using/go.md and a URL with values of its own.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/jinzhu/gorm"
	_ "github.com/lib/pq"
)

const (
	workers = 6
	rounds  = 25
)

type Account struct {
	ID      uint
	Name    string `gorm:"unique_index"`
	Balance int
	Entries []Entry
}

type Entry struct {
	ID        uint
	AccountID uint
	Note      string
}

func fail(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "FAILED "+format+"\n", arguments...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func open(more string) *gorm.DB {
	address := url.URL{
		Scheme: "postgres", User: url.UserPassword(os.Getenv("PGUSER"), os.Getenv("PGPASSWORD")),
		Host: os.Getenv("PGHOST") + ":" + os.Getenv("PGPORT"), Path: os.Getenv("PGDATABASE"), RawQuery: "sslmode=disable" + more,
	}
	db, err := sql.Open("postgres", address.String())
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	db.SetConnMaxLifetime(10 * time.Minute)
	orm, err := gorm.Open("postgres", db)
	must(err, "open")
	orm.LogMode(false)
	return orm
}

func everywhere(name string, work func(who int)) {
	var group sync.WaitGroup
	for i := 1; i <= workers; i++ {
		group.Add(1)
		go func(who int) {
			defer group.Done()
			work(who)
		}(i)
	}
	group.Wait()
	fmt.Printf("ok %s\n", name)
}

func main() {
	orm := open("")
	must(orm.DropTableIfExists(&Entry{}, &Account{}).Error, "drop")
	must(orm.AutoMigrate(&Account{}, &Entry{}).Error, "migrate")
	must(orm.AutoMigrate(&Account{}, &Entry{}).Error, "migrate again")
	fmt.Println("ok AutoMigrate")

	everywhere("records and transactions", func(who int) {
		account := Account{Name: fmt.Sprintf("account-%d", who)}
		must(orm.Create(&account).Error, "create")
		for n := 0; n < rounds; n++ {
			must(orm.Create(&Entry{AccountID: account.ID, Note: fmt.Sprintf("%d-%d", who, n)}).Error, "create an entry")
			err := orm.Transaction(func(tx *gorm.DB) error {
				var own Account
				must(tx.Set("gorm:query_option", "FOR UPDATE").First(&own, account.ID).Error, "first")
				if own.Name != account.Name {
					fail("another's account: %s", own.Name)
				}
				must(tx.Model(&own).Update("balance", n).Error, "update")
				if n%2 == 1 {
					return errors.New("rolled back on purpose")
				}
				return nil
			})
			if (err != nil) != (n%2 == 1) {
				fail("transaction: %v", err)
			}
			var read Account
			must(orm.Preload("Entries").First(&read, account.ID).Error, "preload")
			if read.Balance != n-n%2 || len(read.Entries) != n+1 {
				fail("balance %d with %d entries after round %d", read.Balance, len(read.Entries), n)
			}
		}
		if orm.Create(&Account{Name: account.Name}).Error == nil {
			fail("an account twice")
		}
	})

	own := open("&search_path=go_own,public&statement_timeout=7000")
	everywhere("values of the URL follow the connection", func(who int) {
		for n := 0; n < rounds; n++ {
			var path, timeout string
			row := own.Raw("select replace(current_setting('search_path'), ' ', ''), current_setting('statement_timeout')").Row()
			must(row.Scan(&path, &timeout), "settings")
			if path != "go_own,public" || timeout != "7s" {
				fail("settings: %s, %s", path, timeout)
			}
		}
	})

	prepared, err := orm.DB().Prepare("select $1::int")
	must(err, "prepare")
	everywhere("a statement of database/sql on many connections", func(who int) {
		for n := 0; n < rounds; n++ {
			var got int
			must(prepared.QueryRow(who*1000+n).Scan(&got), "prepared")
			if got != who*1000+n {
				fail("another's row: %d", got)
			}
		}
	})
}
