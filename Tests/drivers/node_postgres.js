// node-postgres: named and unnamed statements, an error in a named one, many queries queued, cursors.
'use strict'
const { Client, Pool } = require('pg')
const Cursor = require('pg-cursor')

const CONNECTIONS = 6
const ROUNDS = 150
let current = 'start'

function fail(message) {
  console.error(`FAILED ${current}: ${message}`)
  process.exit(1)
}

async function everywhere(name, work) {
  current = name
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, i) => {
      const client = new Client()
      client.on('error', (e) => fail(`connection ${i + 1} lost: ${e.message}`))
      await client.connect()
      await work(client, i + 1)
      await client.end()
    })
  )
  console.log(`ok ${name}`)
}

const own = (who, label) => `select ${who} as who, $1::text as asked /* ${label} */`

function check(result, who, asked, what) {
  const row = result.rows[0]
  if (result.rows.length !== 1 || row.who !== who || row.asked !== String(asked))
    fail(`${what}: asked for ${who},${asked} and got ${JSON.stringify(result.rows)}`)
}

async function expectError(state, what, promise) {
  try {
    await promise
  } catch (e) {
    if (e.code !== state) fail(`${what}: expected ${state}, got ${e.code} ${e.message}`)
    return
  }
  fail(`${what} works`)
}

async function main() {
  const setup = new Client()
  await setup.connect()
  await setup.query('set client_min_messages = error; drop table if exists node_keep; create table node_keep (who int, n int); reset client_min_messages')
  await setup.end()

  await everywhere('named statements', async (client, who) => {
    for (let n = 0; n < ROUNDS; n++) {
      check(await client.query({ name: `q${n % 4}`, text: own(who, `named ${n % 4}`), values: [n] }), who, n, 'named')
    }
  })

  await everywhere('unnamed statements', async (client, who) => {
    for (let n = 0; n < ROUNDS; n++) check(await client.query(own(who, 'unnamed'), [n]), who, n, 'unnamed')
    for (let n = 0; n < ROUNDS; n++) check(await client.query(`select ${who} as who, '${n}' as asked`), who, n, 'simple')
  })

  await everywhere('queued', async (client, who) => {
    const queued = []
    for (let n = 0; n < ROUNDS; n++) {
      const text = own(who, n % 2 ? 'queued' : 'queued, named')
      queued.push(client.query(n % 2 ? { text, values: [n] } : { name: 'queued', text, values: [n] }))
    }
    ;(await Promise.all(queued)).forEach((result, n) => check(result, who, n, 'queued'))
  })

  await everywhere('transactions', async (client, who) => {
    for (let n = 0; n < 30; n++) {
      const results = await Promise.all([
        client.query('BEGIN'),
        client.query({ name: 'insert', text: 'insert into node_keep values ($1, $2)', values: [who, n] }),
        client.query({ name: 'own', text: own(who, 'in a transaction'), values: [n] }),
        client.query('COMMIT'),
      ])
      check(results[2], who, n, 'in a transaction')
    }
    check(await client.query(`select ${who} as who, count(*)::text as asked from node_keep where who = $1`, [who]), who, 30, 'committed rows')
  })

  await everywhere('errors in named statements', async (client, who) => {
    for (let n = 0; n < 30; n++) {
      await expectError('42601', 'nonsense', client.query({ name: `bad${n % 5}`, text: 'select nonsense from where', values: [] }))
      check(await client.query({ name: `bad${n % 5}`, text: own(who, 'good'), values: [n] }), who, n, 'the same name with a good text')
      const divide = { name: 'divide', text: `select ${who} as who, (10/$1::int)::text as asked` }
      await expectError('22012', '1/0', client.query({ ...divide, values: [0] }))
      check(await client.query({ ...divide, values: [2] }), who, 5, 'after an error in a named statement')
      await expectError('22P02', 'not a number', client.query({ ...divide, values: ['word'] }))
      check(await client.query({ ...divide, values: [5] }), who, 2, 'after another')
      await client.query('DEALLOCATE bad' + (n % 5))
      delete client.connection.parsedStatements['bad' + (n % 5)] // as its users do after DEALLOCATE
      await client.query('BEGIN')
      await expectError('22012', '1/0 in a transaction', client.query({ ...divide, values: [0] }))
      await expectError('25P02', 'after it', client.query({ ...divide, values: [1] }))
      await client.query('ROLLBACK')
    }
  })

  // Each connection has its own order of failures and its own texts, all queued at once.
  await everywhere('errors in between', async (client, who) => {
    const queued = []
    for (let n = 0; n < ROUNDS; n++) {
      if ((n + who) % 4 === 0) queued.push(expectError('22012', '1/0', client.query({ name: 'divide', text: 'select 1/$1::int', values: [0] })))
      else if ((n + who) % 7 === 0) queued.push(expectError('42P01', 'no table', client.query('select * from node_nowhere where $1::int > 0', [n])))
      else queued.push(client.query({ name: 'own', text: own(who, 'between'), values: [n] }).then((r) => check(r, who, n, 'between errors')))
    }
    await Promise.all(queued)
  })

  await everywhere('cursors', async (client, who) => {
    for (let round = 0; round < 5; round++) {
      const cursor = client.query(new Cursor('select $1::int as who, n::text as asked from generate_series(0, 99) n', [who]))
      for (let n = 0; n < 100; n += 10) {
        const rows = await cursor.read(10)
        rows.forEach((row, m) => check({ rows: [row] }, who, n + m, 'cursor'))
        if (rows.length !== 10) fail(`${rows.length} rows from a cursor`)
        if (round % 2 && n === 50) break // left with the portal open
      }
      await cursor.close()
      check(await client.query(own(who, 'after a cursor'), [round]), who, round, 'after a cursor')
    }
  })
}

// As Drizzle and Prisma's adapter use it: a Pool, a URL with options, rows as arrays, a name where the query is prepared.
async function pooled() {
  current = 'a Pool, as under Drizzle and Prisma'
  const { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE } = process.env
  const options = encodeURIComponent('-c search_path=node_own,public -c statement_timeout=7s')
  const pool = new Pool({ connectionString: `postgres://${PGUSER}:${PGPASSWORD}@${PGHOST}:${PGPORT}/${PGDATABASE}?options=${options}`, max: CONNECTIONS })
  const text = "select $1::int, $2::text, replace(current_setting('search_path'), ' ', ''), current_setting('statement_timeout')"
  const ask = async (n) => {
    const { rows } = await pool.query({ text, values: [n, `${n}`], rowMode: 'array', ...(n % 2 ? { name: 'prepared' } : {}) })
    if (JSON.stringify(rows) !== JSON.stringify([[n, `${n}`, 'node_own,public', '7s']])) fail(`query ${n}: ${JSON.stringify(rows)}`)
  }
  for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 30 }, (_, n) => ask(round * 30 + n)))
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, who) => {
      for (let n = 0; n < 20; n++) {
        const client = await pool.connect()
        await client.query('begin')
        await client.query("select set_config('app.tenant', $1, true)", [`${who}`])
        const { rows } = await client.query("select current_setting('app.tenant') as tenant")
        if (rows[0].tenant !== `${who}`) fail(`another's value: ${rows[0].tenant}`)
        await client.query(n % 2 ? 'commit' : 'rollback')
        client.release()
      }
    })
  )
  await pool.end()
  console.log(`ok ${current}`)
}

console.log(`node-postgres ${require('pg/package.json').version}, node ${process.version}`)
main()
  .then(pooled)
  .catch((e) => fail(e.stack))
