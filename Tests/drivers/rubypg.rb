# ruby-pg, and through it what ActiveRecord does: names a1, a2, ..., DEALLOCATE as text, pipelines, cancel.
require 'pg'

CONNECTIONS = 6
ROUNDS = 150
$stdout.sync = true
$case = 'start'
$who = 0

def fail!(message)
  warn "FAILED #{$case}, connection #{$who}: #{message}"
  exit!(1)
end

def in_processes(name)
  $case = name
  children = (1..CONNECTIONS).map do |i|
    fork do
      $who = i
      begin
        db = PG.connect(dbname: ENV['PGDATABASE'])
        yield db
        db.close
      rescue StandardError => e
        fail!("#{e.class} #{e.message} #{e.backtrace.first}")
      end
      exit!(0)
    end
  end
  failed = children.map { |pid| Process.wait2(pid)[1].success? }.include?(false)
  exit(1) if failed
  puts "ok #{name}"
end

def own(label) = "select #{$who}, $1::text /* #{label} */"

def check(result, asked, what)
  rows = result.values
  fail!("#{what}: asked for #{$who},#{asked} and got #{rows.inspect} #{result.res_status(result.result_status)} #{result.error_message}") unless rows == [[$who.to_s, asked.to_s]]
end

def expect_error(error, what)
  yield
rescue error
  nil
rescue PG::Error => e
  fail!("#{what}: expected #{error}, got #{e.class} #{e.message}")
else
  fail!("#{what} works")
end

setup = PG.connect(dbname: ENV['PGDATABASE'])
setup.exec('set client_min_messages = error; drop table if exists rubypg_keep; create table rubypg_keep (who int, n int); reset client_min_messages')
setup.close

in_processes('named statements') do |db|
  4.times { |n| db.prepare("a#{n}", own("named #{n}")) }
  ROUNDS.times { |n| check(db.exec_prepared("a#{n % 4}", [n]), n, 'exec_prepared') }
  ROUNDS.times { |n| check(db.exec_params(own('params'), [n]), n, 'exec_params') }
  30.times do |n|
    db.transaction { 3.times { |m| check(db.exec_prepared("a#{m}", [n]), n, 'in a transaction') } }
  end
  fail!('describe_prepared') unless db.describe_prepared('a1').nparams == 1
end

in_processes('unnamed across a Sync') do |db|
  ROUNDS.times do |n|
    db.prepare('', own('unnamed')) if (n % 3).zero?
    check(db.exec_prepared('', [n]), n, 'exec_prepared ""')
  end
end

in_processes('DEALLOCATE') do |db|
  30.times do |n|
    db.prepare('a1', own("number #{n}"))
    db.transaction do
      check(db.exec_prepared('a1', [n]), n, 'in a transaction')
      db.exec_params('insert into rubypg_keep values ($1, $2)', [$who, n])
      db.exec('DEALLOCATE a1')
    end
    expect_error(PG::InvalidSqlStatementName, 'a deallocated name') { db.exec_prepared('a1', [n]) }
    db.prepare('a1', own("again #{n}"))
    expect_error(PG::DuplicatePstatement, 'a duplicate name') { db.prepare('a1', own('twice')) }
    check(db.exec_prepared('a1', [n]), n, 'after a refused duplicate')
    db.exec($who.odd? ? 'DEALLOCATE a1' : 'DEALLOCATE ALL')
    db.prepare('f1', own('in a failed transaction'))
    db.exec('BEGIN')
    expect_error(PG::DivisionByZero, '1/0') { db.exec('select 1/0') }
    expect_error(PG::InFailedSqlTransaction, 'DEALLOCATE in a failed transaction') { db.exec('DEALLOCATE f1') }
    db.exec('ROLLBACK')
    check(db.exec_prepared('f1', [n]), n, 'a statement whose deallocation was refused')
    db.exec('DEALLOCATE "f1"')
  end
  check(db.exec_params("select #{$who}, count(*) from rubypg_keep where who = $1", [$who]), 30, 'committed rows')
end

in_processes('failed statements') do |db|
  30.times do |n|
    expect_error(PG::SyntaxError, 'nonsense') { db.prepare('f', 'select nonsense from where') }
    expect_error(PG::InvalidSqlStatementName, 'a name whose Parse failed') { db.exec_prepared('f') }
    db.prepare('f', "select #{$who}, (10/$1::int)::text")
    expect_error(PG::DivisionByZero, '1/0') { db.exec_prepared('f', [0]) }
    expect_error(PG::InvalidTextRepresentation, 'not a number') { db.exec_prepared('f', ['word']) }
    check(db.exec_prepared('f', [2]), 5, 'after failed executions')
    db.exec('DEALLOCATE f')
    check(db.exec_params(own('between'), [n]), n, 'exec_params')
  end
end

# ActiveRecord meets 0A000, deallocates, prepares under a new name, and tries again without end. Behind a pooler each of
# its three servers may say it once, and no more.
in_processes('stale plan after DDL') do |db|
  5.times do |round|
    table = "rubypg_stale_#{$who}_#{round}"
    db.exec("create table #{table} as select #{$who} as who, 1 as n")
    sql = "select * from #{table}"
    refused = 0
    db.prepare('a0', sql)
    20.times { check(db.exec_prepared('a0'), 1, 'before ALTER TABLE') }
    db.exec("alter table #{table} add column more int")
    healed = 0
    while healed < 20
      begin
        columns = db.exec_prepared("a#{refused}").nfields
        fail!("#{columns} columns after ALTER TABLE") unless columns == 3
        healed += 1
      rescue PG::FeatureNotSupported
        db.exec("DEALLOCATE a#{refused}")
        refused += 1
        fail!('0A000 for the fourth time, on three servers') if refused > 3
        db.prepare("a#{refused}", sql)
      end
    end
    db.exec('DEALLOCATE ALL')
    db.exec("drop table #{table}")
  end
end

in_processes('pipelines') do |db|
  db.enter_pipeline_mode
  25.times do |round|
    db.send_prepare("p#{round}", own("pipeline #{round}"))
    8.times { |n| n.odd? ? db.send_query_prepared("p#{round}", [n]) : db.send_query_params(own('in between'), [n]) }
    db.send_flush_request if round.odd?
    db.pipeline_sync
    db.send_query_params('select 1/$1::int', [0])
    db.send_query_prepared("p#{round}", [1])
    db.pipeline_sync
    db.send_query_prepared("p#{round}", [99])
    db.pipeline_sync
    take = lambda do
      r = db.get_result
      db.get_result unless r.result_status == PG::PGRES_PIPELINE_SYNC
      r
    end
    fail!('prepare') unless take.call.result_status == PG::PGRES_COMMAND_OK
    8.times { |n| check(take.call, n, 'in a pipeline') }
    fail!('no sync') unless take.call.result_status == PG::PGRES_PIPELINE_SYNC
    fail!('no error') unless take.call.error_field(PG::PG_DIAG_SQLSTATE) == '22012'
    fail!('not skipped') unless take.call.result_status == PG::PGRES_PIPELINE_ABORTED
    fail!('no sync') unless take.call.result_status == PG::PGRES_PIPELINE_SYNC
    check(take.call, 99, 'after the error')
    fail!('no sync') unless take.call.result_status == PG::PGRES_PIPELINE_SYNC
  end
  db.exit_pipeline_mode
end

in_processes('COPY') do |db|
  db.exec("create table rubypg_copy_#{$who} (who int, n int)")
  5.times do |round|
    db.copy_data("copy rubypg_copy_#{$who} from stdin") { 500.times { |n| db.put_copy_data("#{$who}\t#{n}\n") } }
    rows = 0
    db.copy_data("copy rubypg_copy_#{$who} to stdout") do
      while (line = db.get_copy_data)
        fail!("another's row #{line}") unless line.start_with?("#{$who}\t")
        rows += 1
      end
    end
    fail!("#{rows} rows") unless rows == 500 * (round + 1)
  end
  db.exec("drop table rubypg_copy_#{$who}")
end

in_processes('cancel') do |db|
  10.times do |n|
    if $who.odd?
      db.send_query('select pg_sleep(60)')
      attempts = 0
      until db.block(0.1)
        fail!('not cancelled') if (attempts += 1) > 100
        error = db.cancel
        fail!("cancel: #{error}") if error
      end
      expect_error(PG::QueryCanceled, 'a cancelled query') { db.get_last_result }
      begin
        db.exec('select 1')
      rescue PG::QueryCanceled
        nil # a second, late request of our own
      end
    else
      10.times { check(db.exec_params("select #{$who}, $1::text from pg_sleep(0.005)", [n]), n, "beside somebody's cancel") }
    end
  end
end
