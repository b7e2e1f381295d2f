<?php
// PDO (before PHP 8.4 it deallocates with SQL text) and the older pg_* functions, in six processes for each case.
const CONNECTIONS = 6;
const ROUNDS = 150;
$case = 'start';
$who = 0;

function fail(string $message): never {
    global $case, $who;
    fwrite(STDERR, "FAILED $case, connection $who: $message\n");
    exit(1);
}

function in_processes(string $name, callable $work): void {
    global $case, $who;
    $case = $name;
    $children = [];
    for ($i = 1; $i <= CONNECTIONS; $i++) {
        $pid = pcntl_fork();
        if ($pid == 0) {
            $who = $i;
            try {
                $work($i);
            } catch (Throwable $e) {
                fail(get_class($e) . ' line ' . $e->getLine() . ': ' . $e->getMessage());
            }
            exit(0);
        }
        $children[] = $pid;
    }
    $failed = false;
    foreach ($children as $pid) {
        pcntl_waitpid($pid, $status);
        $failed = $failed || $status != 0;
    }
    if ($failed) exit(1);
    echo "ok $name\n";
}

function connect(array $options = []): PDO {
    $dsn = 'pgsql:host=' . getenv('PGHOST') . ';port=' . getenv('PGPORT') . ';dbname=' . getenv('PGDATABASE');
    return new PDO($dsn, getenv('PGUSER'), getenv('PGPASSWORD'), $options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function check($row, int $who, $asked, string $what): void {
    if (!$row || $row[0] != $who || $row[1] != $asked) fail("$what: asked for $who,$asked and got " . json_encode($row));
}

function own(int $who, string $label): string {
    return "select $who, cast(? as text) /* $label */";
}

function expect_error(string $state, string $what, callable $work): void {
    try {
        $work();
    } catch (PDOException $e) {
        if ($e->errorInfo[0] != $state) fail("$what: expected $state, got " . $e->getMessage());
        return;
    }
    fail("$what works");
}

function many(PDO $db, int $who): void {
    $statements = [$db->prepare(own($who, 'a')), $db->prepare(own($who, 'b')), $db->prepare(own($who, 'c'))];
    for ($n = 0; $n < ROUNDS; $n++) {
        $s = $statements[$n % 3];
        $s->execute([$n]);
        check($s->fetch(PDO::FETCH_NUM), $who, $n, 'execute');
        $s->closeCursor();
    }
    for ($n = 0; $n < 40; $n++) { // prepare, execute once, forget: what most programs do
        $s = $db->prepare(own($who, "once $n"));
        $s->execute([$n]);
        check($s->fetch(PDO::FETCH_NUM), $who, $n, 'prepared for once');
        $s = null;
    }
}

$db = connect();
$db->exec('set client_min_messages = error; drop table if exists pdo_keep; create table pdo_keep (who int, n int); reset client_min_messages');
$db = null;

in_processes('native prepares', fn($who) => many(connect(), $who));
in_processes('emulated prepares', fn($who) => many(connect([PDO::ATTR_EMULATE_PREPARES => true]), $who));
in_processes('unnamed statements', fn($who) => many(connect([PDO::PGSQL_ATTR_DISABLE_PREPARES => true]), $who));

in_processes('DEALLOCATE in a transaction', function ($who) {
    $db = connect();
    for ($n = 0; $n < 30; $n++) {
        $db->beginTransaction();
        $s = $db->prepare("insert into pdo_keep values ($who, cast(? as int))");
        $s->execute([$n]);
        $s = null; // DEALLOCATE
        $s = $db->prepare(own($who, 'after it'));
        $s->execute([$n]);
        check($s->fetch(PDO::FETCH_NUM), $who, $n, 'in a transaction');
        $s = null;
        $db->commit();
    }
    $s = $db->query("select $who, count(*) from pdo_keep where who = $who");
    check($s->fetch(PDO::FETCH_NUM), $who, 30, 'committed rows');
});

in_processes('DEALLOCATE in a failed transaction', function ($who) {
    $db = connect();
    $kept = $db->prepare(own($who, 'kept'));
    for ($n = 0; $n < 30; $n++) {
        $kept->execute([$n]);
        check($kept->fetch(PDO::FETCH_NUM), $who, $n, 'kept');
        $db->beginTransaction();
        $s = $db->prepare('select 1/cast(? as int)');
        expect_error('22012', '1/0', fn() => $s->execute([0]));
        $s = null; // DEALLOCATE, which PostgreSQL refuses now
        expect_error('25P02', 'after an error', fn() => $kept->execute([$n]));
        $db->rollBack();
    }
});

in_processes('failed statements', function ($who) {
    $db = connect();
    for ($n = 0; $n < 30; $n++) {
        $bad = $db->prepare('select nonsense from where ?');
        expect_error('42601', 'nonsense', fn() => $bad->execute([1]));
        $bad = null;
        $s = $db->prepare('select cast(? as int), 1');
        expect_error('22P02', 'not a number', fn() => $s->execute(['word']));
        $s->execute([$n]);
        check($s->fetch(PDO::FETCH_NUM), $n, 1, 'after a failed execution');
        $s = null;
    }
});

in_processes('cursor', function ($who) {
    $db = connect();
    for ($n = 0; $n < 10; $n++) {
        $db->beginTransaction();
        $s = $db->prepare("select $who, i from generate_series(0, 49) i", [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
        $s->execute();
        for ($i = 0; $i < 50; $i++) check($s->fetch(PDO::FETCH_NUM), $who, $i, 'cursor');
        $s = null;
        $db->commit();
    }
});

in_processes('COPY', function ($who) {
    $db = connect();
    $db->exec("create table pdo_copy_$who (who int, n int)");
    for ($round = 0; $round < 5; $round++) {
        $db->pgsqlCopyFromArray("pdo_copy_$who", array_map(fn($n) => "$who\t$n", range(1, 500)));
        $rows = $db->pgsqlCopyToArray("pdo_copy_$who");
        if (count($rows) != 500 * ($round + 1)) fail(count($rows) . ' rows');
        foreach ($rows as $row) if (!str_starts_with($row, "$who\t")) fail("another's row $row");
    }
    $db->exec("drop table pdo_copy_$who");
});

in_processes('pg_prepare', function ($who) {
    $c = pg_connect('', PGSQL_CONNECT_FORCE_NEW);
    foreach (['one', ''] as $name) {
        pg_prepare($c, $name, "select $who, \$1::text") or fail(pg_last_error($c));
        for ($n = 0; $n < ROUNDS; $n++) {
            check(pg_fetch_row(pg_execute($c, $name, [$n])), $who, $n, "pg_execute \"$name\"");
            check(pg_fetch_row(pg_query_params($c, "select $who, \$1::text", ["p$n"])), $who, "p$n", 'pg_query_params');
            if ($name == '') pg_prepare($c, '', "select $who, \$1::text") or fail(pg_last_error($c));
        }
    }
    pg_close($c);
});
