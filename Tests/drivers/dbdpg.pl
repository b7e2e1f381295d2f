#!/usr/bin/perl
# DBD::Pg: prepares on the server, deallocates with SQL text when a handle goes, also in the middle of a transaction.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:async);

use constant { CONNECTIONS => 6, ROUNDS => 150 };
$| = 1;
my ($case, $who) = ('start', 0);

sub fail {
    print STDERR "FAILED $case, connection $who: @_\n";
    exit 1;
}

sub in_processes {
    my ($name, $work) = @_;
    $case = $name;
    my @children;
    for my $i (1 .. CONNECTIONS) {
        my $pid = fork();
        if (!$pid) {
            $who = $i;
            eval { $work->(); 1 } or fail($@);
            exit 0;
        }
        push @children, $pid;
    }
    my $failed = 0;
    for (@children) { waitpid($_, 0); $failed ||= $?; }
    exit 1 if $failed;
    print "ok $name\n";
}

sub db {
    my %more = @_;
    return DBI->connect("dbi:Pg:host=$ENV{PGHOST};port=$ENV{PGPORT};dbname=$ENV{PGDATABASE}", $ENV{PGUSER}, $ENV{PGPASSWORD},
        { RaiseError => 1, PrintError => 0, AutoCommit => 1, %more });
}

sub own { my ($label) = @_; return "select $who, cast(? as text) /* $label */"; }

sub check {
    my ($row, $asked, $what) = @_;
    fail("$what: no row") unless $row;
    fail("$what: asked for $who,$asked and got @$row") unless $row->[0] eq $who && $row->[1] eq $asked;
}

sub expect_error {
    my ($handle, $state, $what, $work) = @_;
    if (eval { $work->(); 1 }) { fail("$what works"); }
    fail("$what: expected $state, got " . $handle->state . " $@") unless $handle->state eq $state;
}

sub many {
    my ($db) = @_;
    my @statements = map { $db->prepare(own($_)) } qw(a b c);
    for my $n (0 .. ROUNDS - 1) {
        my $s = $statements[$n % 3];
        $s->execute($n);
        check($s->fetchrow_arrayref, $n, 'execute');
        $s->finish;
    }
    for my $n (0 .. 40) {
        my $s = $db->prepare(own("once $n"));
        $s->execute($n) for 1 .. 3;    # pg_switch_prepared: a name from the second time on
        check($s->fetchrow_arrayref, $n, 'prepared for three');
        $s->finish;
    }
    undef @statements;
    $db->disconnect;
}

{
    my $db = db();
    $db->do('set client_min_messages = error; drop table if exists dbdpg_keep; create table dbdpg_keep (who int, n int); reset client_min_messages');
    $db->disconnect;
}

in_processes('server-side prepares', sub { many(db()) });
in_processes('prepared at once', sub { my $db = db(); $db->{pg_prepare_now} = 1; many($db) });
in_processes('prepared at the first use', sub { my $db = db(); $db->{pg_switch_prepared} = 1; many($db) });
in_processes('client-side prepares', sub { my $db = db(); $db->{pg_server_prepare} = 0; many($db) });

in_processes('named prepares', sub {
    my $db = db();
    my $s = $db->prepare(own('named'), { pg_prepare_name => 'myname', pg_prepare_now => 1 });
    for my $n (0 .. ROUNDS - 1) {
        $s->execute($n);
        check($s->fetchrow_arrayref, $n, 'named');
        $s->finish;
    }
    undef $s;
    $db->disconnect;
});

in_processes('DEALLOCATE, then COMMIT', sub {
    my $db = db(AutoCommit => 0);
    $db->{pg_switch_prepared} = 1;
    for my $n (1 .. 30) {
        my $s = $db->prepare("insert into dbdpg_keep values ($who, ?)");
        $s->execute($n);
        undef $s;    # DEALLOCATE
        $s = $db->prepare(own("in a transaction $n"));
        $s->execute($n);
        check($s->fetchrow_arrayref, $n, 'in a transaction');
        $s->finish;
        undef $s;
        $db->commit;
    }
    check($db->selectrow_arrayref("select $who, count(*) from dbdpg_keep where who = $who"), 30, 'committed rows');
    $db->rollback;
    $db->disconnect;
});

in_processes('DEALLOCATE in a failed transaction', sub {
    my $db = db(AutoCommit => 0);
    $db->{pg_switch_prepared} = 1;
    my $kept = $db->prepare(own('kept'));
    for my $n (1 .. 30) {
        $kept->execute($n);
        check($kept->fetchrow_arrayref, $n, 'kept');
        $kept->finish;
        $db->commit;
        my $s = $db->prepare('select 1/cast(? as int)');
        $s->execute(1);
        $s->finish;
        expect_error($s, '22012', '1/0', sub { $s->execute(0) });
        undef $s;    # DBD::Pg may roll back by itself so that it can deallocate
        if (eval { $kept->execute($n); 1 }) { check($kept->fetchrow_arrayref, $n, 'after an error'); $kept->finish; }
        elsif ($kept->state ne '25P02') { fail("after an error: $@"); }
        $db->rollback;
    }
    undef $kept;
    $db->rollback;
    $db->disconnect;
});

in_processes('savepoints', sub {
    my $db = db(AutoCommit => 0);
    $db->{pg_switch_prepared} = 1;
    for my $n (1 .. 20) {
        $db->pg_savepoint('here');
        my $s = $db->prepare('select 1/cast(? as int)');
        expect_error($s, '22012', '1/0', sub { $s->execute(0) });
        undef $s;    # DBD::Pg goes back to the savepoint by itself to deallocate
        $db->pg_rollback_to('here');
        check($db->selectrow_arrayref("select $who, $n"), $n, 'after the savepoint');
        $db->commit;
    }
    $db->disconnect;
});

in_processes('failed statements', sub {
    my $db = db();
    $db->{pg_switch_prepared} = 1;
    for my $n (1 .. 30) {
        my $s = $db->prepare('select nonsense from where ?');
        expect_error($s, '42601', 'nonsense', sub { $s->execute(1) });
        undef $s;
        $s = $db->prepare("select $who, cast(? as int)");
        expect_error($s, '22P02', 'not a number', sub { $s->execute('word') });
        $s->execute($n);
        check($s->fetchrow_arrayref, $n, 'after a failed execution');
        $s->finish;
    }
    $db->disconnect;
});

in_processes('COPY', sub {
    my $db = db();
    $db->do("create table dbdpg_copy_$who (who int, n int)");
    for my $round (1 .. 5) {
        $db->do("copy dbdpg_copy_$who from stdin");
        $db->pg_putcopydata("$who\t$_\n") for 1 .. 500;
        $db->pg_putcopyend;
        $db->do("copy dbdpg_copy_$who to stdout");
        my ($line, $rows) = ('', 0);
        while ($db->pg_getcopydata($line) >= 0) {
            fail("another's row $line") unless $line =~ /^$who\t/;
            $rows++;
        }
        fail("$rows rows") unless $rows == 500 * $round;
    }
    $db->do("drop table dbdpg_copy_$who");
    $db->disconnect;
});

in_processes('cancel', sub {
    my $db = db();
    for my $n (1 .. 10) {
        if ($who % 2) {
            my $s = $db->prepare('select pg_sleep(60)', { pg_async => PG_ASYNC });
            $s->execute;
            select(undef, undef, undef, 0.3);    # it must have reached a server: DBD::Pg asks once and waits
            $db->pg_cancel or fail('not cancelled');
        }
        else {
            check($db->selectrow_arrayref("select $who, $n from pg_sleep(0.02)"), $n, "beside somebody's cancel") for 1 .. 10;
        }
    }
    check($db->selectrow_arrayref("select $who, 1"), 1, 'after cancel');
    $db->disconnect;
});
