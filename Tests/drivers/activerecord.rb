# ActiveRecord, the part of Rails that talks to the database: the database.yml of docs/using/rails.md, migrations, transactions.
require 'active_record'
require 'erb'
require 'logger'
require 'pg'
require 'yaml'

CONNECTIONS = 6
ROUNDS = 25
$stdout.sync = true

def fail!(message)
  warn "FAILED #{message}"
  exit!(1)
end

def expect(got, wanted, what)
  fail!("#{what}: expected #{wanted.inspect}, got #{got.inspect}") unless got == wanted
end

page = File.read(File.expand_path('../../docs/using/rails.md', __dir__))
block = page[/^```yaml\n(.*?)^```/m, 1]
configuration = YAML.safe_load(ERB.new(block).result, aliases: true)
there = { 'host' => ENV['PGHOST'], 'port' => ENV['PGPORT'].to_i, 'username' => ENV['PGUSER'], 'password' => ENV['PGPASSWORD'] }
PAGE = configuration['production'].merge(there, 'database' => ENV['PGDATABASE'])
MIGRATIONS = configuration['migrations'].merge(there, 'database' => ENV['SESSION_DATABASE'])
puts "ActiveRecord #{ActiveRecord.version}, ruby-pg #{PG::VERSION}"

ActiveRecord::Base.logger = Logger.new(nil)
ActiveRecord::Migration.verbose = false

class Account < ActiveRecord::Base; end
class Entry < ActiveRecord::Base
  belongs_to :account
end

class CreateAccounts < ActiveRecord::Migration[6.1]
  def change
    create_table(:accounts) { |t| t.string :name, index: { unique: true }; t.integer :balance, default: 0; t.timestamps }
    create_table(:entries) { |t| t.references :account, foreign_key: true; t.string :note; t.timestamps }
  end
end

class AddIndex < ActiveRecord::Migration[6.1]
  disable_ddl_transaction!
  def change
    add_index :entries, :note, algorithm: :concurrently
  end
end

def migrator(direction, *versions)
  all = [[1, CreateAccounts], [2, AddIndex]].map do |version, migration|
    migration.new(migration.name, version).tap { |m| m.define_singleton_method(:filename) { '' } }
  end
  ActiveRecord::Migrator.new(direction, all, ActiveRecord::SchemaMigration, *versions)
end

def connect(configuration)
  ActiveRecord::Base.establish_connection(configuration)
end

def everywhere(name)
  threads = (1..CONNECTIONS).map do |who|
    Thread.new do
      yield who
    rescue StandardError => e
      fail!("#{name}, connection #{who}: #{e.class} #{e.message} #{e.backtrace.first(3)}")
    ensure
      ActiveRecord::Base.connection_handler.clear_active_connections!
    end
  end
  threads.each(&:join)
  puts "ok #{name}"
end

connect(MIGRATIONS)
ActiveRecord::Base.connection.execute('drop table if exists entries, accounts, schema_migrations, ar_internal_metadata')
migrator(:up).migrate
expect(ActiveRecord::Base.connection.select_values("select count(*) from pg_locks where locktype = 'advisory'"), [0], 'locks that are left')
migrator(:down, 0).migrate
migrator(:up).migrate
puts 'ok migrations as the page says'

unless ENV['POOLER'].empty?
  # The lock is the session's, and the next statement may have another one. One client alone would get the same server again and
  # again, so others keep them busy.
  connect(PAGE.merge('advisory_locks' => true, 'pool' => CONNECTIONS + 1))
  busy = (2..CONNECTIONS).map { Thread.new { ActiveRecord::Base.connection_pool.with_connection { |c| loop { c.execute('select pg_sleep(0.002)') } } } }
  error = nil
  50.times do
    migrator(:down, 0).migrate
    migrator(:up).migrate
  rescue ActiveRecord::ConcurrentMigrationError => e
    error = e
    break
  end
  busy.each(&:kill).each(&:join)
  fail!('the trap that the page tells of is none') unless error
  ActiveRecord::Base.connection_pool.disconnect!
  connect(MIGRATIONS)
  puts "ok a migration in a transaction pool without `advisory_locks: false`: #{error.message.strip.lines.first}"
end

connect(PAGE.merge('pool' => CONNECTIONS + 1))
migrator(:down, 0).migrate
migrator(:up).migrate
puts 'ok migrations in a transaction pool with `advisory_locks: false`'
[Account, Entry].each(&:reset_column_information)

def work(prepared)
  everywhere("records, prepared_statements: #{prepared}") do |who|
    account = Account.find_or_create_by!(name: "#{prepared}-#{who}")
    ROUNDS.times do |n|
      entry = Entry.create!(account: account, note: "#{who}-#{n}")
      expect(Entry.find(entry.id).note, "#{who}-#{n}", 'find')
      expect(Entry.where(account_id: account.id).count, n + 1, 'count')
      Account.transaction do
        account.lock!
        account.update!(balance: n)
        begin
          Account.transaction(requires_new: true) { Account.create!(name: "#{prepared}-#{who}") }
          fail!('a second account of the same name')
        rescue ActiveRecord::RecordNotUnique
          nil
        end
        expect(Account.find(account.id).balance, n, 'after a savepoint')
      end
    end
    expect(Entry.where(account: account).find_each(batch_size: 7).map(&:note), (0...ROUNDS).map { |n| "#{who}-#{n}" }, 'find_each')
  end
end

work(true)

# A plan goes stale under everybody, again and again: Rails deallocates and prepares anew outside of transactions.
everywhere('columns that come and go') do |who|
  if who == 1
    5.times { |n| Account.connection.execute("alter table accounts add column more_#{n} int"); sleep 0.05 }
  else
    ROUNDS.times { |n| expect(Account.find_by(name: "true-#{who}").name, "true-#{who}", "find_by #{n}") }
  end
end

# What PostgreSQL reports follows a client that has SET it; the rest has to come with the connection, in `options`.
other = { 'variables' => { 'timezone' => 'Asia/Tokyo' }, 'options' => '-c search_path=rails_own,public -c statement_timeout=7s' }
connect(PAGE.merge(other, 'pool' => CONNECTIONS + 1))
everywhere('variables and options follow the connection') do
  ROUNDS.times do
    got = Account.connection.select_rows("select current_setting('TimeZone'), replace(current_setting('search_path'), ' ', ''), current_setting('statement_timeout')")
    expect(got, [['Asia/Tokyo', 'rails_own,public', '7s']], 'settings')
  end
end

unless ENV['POOLER'].empty?
  connect(PAGE.merge('pool' => CONNECTIONS + 1, 'variables' => { 'statement_timeout' => '6s' }))
  everywhere('a variable that PostgreSQL does not report') { Account.connection.select_value('select 1') }
  connect(PAGE.merge('pool' => CONNECTIONS + 1))
  foreign = Queue.new
  everywhere('and connections without it') do
    ROUNDS.times { foreign << 1 if Account.connection.select_value("select current_setting('statement_timeout')") == '6s' }
  end
  puts "ok of #{CONNECTIONS * ROUNDS} queries #{foreign.size} ran under another connection's variable"
  fail!('the trap that the page tells of is none') if foreign.empty?
end

connect(PAGE.merge('pool' => CONNECTIONS + 1, 'prepared_statements' => false))
work(false)
