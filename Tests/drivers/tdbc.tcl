# tdbc::postgres: a statement is named, and its end is DEALLOCATE as text. When that fails inside a transaction, tdbc
# commits all the same, the COMMIT becomes a rollback, and the rows are gone without a word. So the rows are counted.
package require tdbc::postgres

set connections 6
set rounds 100

proc fail {message} {
    puts stderr "FAILED $::case, connection $::who: $message"
    exit 1
}

proc connect {} {
    global env
    tdbc::postgres::connection create db -host $env(PGHOST) -port $env(PGPORT) -user $env(PGUSER) -password $env(PGPASSWORD) -db $env(PGDATABASE)
}

proc check {rows asked what} {
    if {$rows ne [list [list $::who $asked]]} { fail "$what: asked for $::who,$asked and got $rows" }
}

proc expect_error {state what script} {
    if {![catch {uplevel 1 $script} message options]} { fail "$what works" }
    if {[lindex [dict get $options -errorcode] 2] ne $state} { fail "$what: expected $state, got [dict get $options -errorcode] $message" }
}

proc own {label} { return "select $::who, :n::text /* $label */" }

set cases {
    "prepared statements" {
        foreach label {a b c} { set statement($label) [db prepare [own $label]] }
        for {set n 0} {$n < $rounds} {incr n} {
            set label [lindex {a b c} [expr {$n % 3}]]
            check [$statement($label) allrows -as lists [dict create n $n]] $n "a statement used again"
            check [db allrows -as lists [own "once $n"]] $n "a statement for once"
        }
    }
    "transactions keep their rows" {
        for {set n 0} {$n < 30} {incr n} {
            db transaction {
                set statement [db prepare "insert into tdbc_keep values ($who, :n::int)"]
                [$statement execute] close
                $statement close
                check [db allrows -as lists [own "in a transaction"]] $n "in a transaction"
            }
        }
        check [db allrows -as lists "select $who, count(*) from tdbc_keep where who = $who"] 30 "committed rows"
    }
    "failed transactions" {
        set kept [db prepare [own kept]]
        for {set n 0} {$n < 30} {incr n} {
            set statement [db prepare "select 1/:zero::int"]
            set zero 0
            expect_error 22012 "1/0" { db transaction { insert_row; $statement allrows } }
            catch {$statement close}
            check [$kept allrows -as lists] $n "after a failed transaction"
        }
        check [db allrows -as lists "select $who, count(*) from tdbc_keep where who = -$who"] 0 "rolled back rows"
    }
    "failed statements" {
        for {set n 0} {$n < 30} {incr n} {
            expect_error 42601 "nonsense" { db allrows "select nonsense from where" }
            set statement [db prepare "select $who, (10/:value::int)::text"]
            set value 0
            expect_error 22012 "1/0" { $statement allrows }
            set value 2
            check [$statement allrows -as lists] 5 "after failed executions"
            $statement close
        }
    }
}

proc insert_row {} { db allrows "insert into tdbc_keep values (-$::who, 0)" }

if {[lindex $argv 0] eq "worker"} {
    lassign $argv - who case
    connect
    if {[catch {eval [dict get $cases $case]} message options]} { fail "$message\n[dict get $options -errorinfo]" }
    db close
    exit 0
}

set who 0
set case start
connect
db allrows "set client_min_messages = error"
db allrows "drop table if exists tdbc_keep"
db allrows "create table tdbc_keep (who int, n int)"
db allrows "reset client_min_messages"
db close
foreach case [dict keys $cases] {
    set workers {}
    for {set i 1} {$i <= $connections} {incr i} {
        lappend workers [open |[list [info nameofexecutable] [info script] worker $i $case 2>@stderr] r]
    }
    set failed 0
    foreach worker $workers {
        read $worker
        incr failed [catch {close $worker}]
    }
    if {$failed} { exit 1 }
    puts "ok $case"
    flush stdout
}
