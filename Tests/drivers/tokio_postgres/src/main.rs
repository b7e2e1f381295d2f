// tokio-postgres, and with it what the Rust engine of Prisma up to 6 and sqlx-like programs do: statements s0, s1, ... prepared once and
// kept, queries queued on one connection, look-ups of types, transactions, DEALLOCATE ALL in between (`pgbouncer=true`), cancel.
use futures_util::future::try_join_all;
use std::{env, fmt::Debug, process};
use tokio_postgres::{error::SqlState, Client, Config, NoTls};

const CONNECTIONS: i32 = 6;
const ROUNDS: i32 = 100;

fn fail(message: String) -> ! {
    eprintln!("FAILED {message}");
    process::exit(1)
}

fn expect<T: PartialEq + Debug>(got: T, wanted: T, what: &str) {
    if got != wanted {
        fail(format!("{what}: expected {wanted:?}, got {got:?}"))
    }
}

async fn connect() -> Client {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let mut config = Config::new();
    config.host(&variable("PGHOST")).port(variable("PGPORT").parse().unwrap()).user(&variable("PGUSER"));
    config.password(variable("PGPASSWORD")).dbname(&variable("PGDATABASE"));
    let (client, connection) = config.connect(NoTls).await.unwrap_or_else(|e| fail(format!("connect: {e}")));
    tokio::spawn(async move {
        if let Err(e) = connection.await {
            fail(format!("a connection is lost: {e}"))
        }
    });
    client
}

async fn everywhere<F, W>(name: &str, work: W)
where
    F: std::future::Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    W: Fn(Client, i32) -> F,
{
    let mut tasks = Vec::new();
    for who in 1..=CONNECTIONS {
        tasks.push(tokio::spawn(work(connect().await, who)));
    }
    for task in tasks {
        match task.await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => fail(format!("{name}: {e:?}")),
            Err(e) => fail(format!("{name}: {e}")),
        }
    }
    println!("ok {name}");
}

fn own(who: i32, label: &str) -> String {
    format!("select {who}::int, $1::text /* {label} */")
}

async fn ask(client: &Client, statement: &tokio_postgres::Statement, who: i32, asked: String) -> Result<(), tokio_postgres::Error> {
    let row = client.query_one(statement, &[&asked]).await?;
    expect((row.get::<_, i32>(0), row.get::<_, String>(1)), (who, asked), "own row");
    Ok(())
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let setup = connect().await;
    let sql = "set client_min_messages = error; drop table if exists rust_keep; drop type if exists rust_mood; \
               create type rust_mood as enum ('sad', 'happy'); create table rust_keep (who int, n int, mood rust_mood, unique (who, n))";
    setup.batch_execute(sql).await.unwrap_or_else(|e| fail(format!("setup: {e}")));

    everywhere("statements that are kept", |client, who| async move {
        let mut statements = Vec::new();
        for n in 0..4 {
            statements.push(client.prepare(&own(who, &format!("kept {n}"))).await?);
        }
        for n in 0..ROUNDS {
            ask(&client, &statements[n as usize % 4], who, n.to_string()).await?;
        }
        Ok(())
    })
    .await;

    everywhere("many at once on one connection", |client, who| async move {
        let statement = client.prepare(&own(who, "queued")).await?;
        for round in 0..10 {
            try_join_all((0..20).map(|n| ask(&client, &statement, who, format!("{round}-{n}")))).await?;
        }
        Ok(())
    })
    .await;

    everywhere("a type that is looked up", |client, who| async move {
        for n in 0..ROUNDS / 4 {
            let row = client.query_one("select $1::text, 'happy'::rust_mood", &[&format!("{who}-{n}")]).await?;
            expect(row.columns()[1].type_().name(), "rust_mood", "the type");
            expect(row.get::<_, String>(0), format!("{who}-{n}"), "own row");
        }
        Ok(())
    })
    .await;

    everywhere("transactions and savepoints", |mut client, who| async move {
        let insert = client.prepare("insert into rust_keep values ($1, $2, 'sad')").await?;
        for n in 0..ROUNDS / 4 {
            let mut transaction = client.transaction().await?;
            transaction.execute(&insert, &[&who, &n]).await?;
            let savepoint = transaction.transaction().await?;
            match savepoint.execute(&insert, &[&who, &n]).await {
                Err(e) if e.code() == Some(&SqlState::UNIQUE_VIOLATION) => {}
                other => fail(format!("a row twice: {other:?}")),
            }
            savepoint.rollback().await?;
            transaction.commit().await?;
        }
        let row = client.query_one("select count(*) from rust_keep where who = $1", &[&who]).await?;
        expect(row.get::<_, i64>(0), i64::from(ROUNDS / 4), "committed rows");
        Ok(())
    })
    .await;

    // As Prisma's engine with pgbouncer=true: a transaction, DEALLOCATE ALL in it, a fresh statement of an old name.
    everywhere("DEALLOCATE ALL before each statement", |mut client, who| async move {
        for n in 0..ROUNDS / 4 {
            let transaction = client.transaction().await?;
            transaction.batch_execute("DEALLOCATE ALL").await?;
            let statement = transaction.prepare(&own(who, "fresh")).await?;
            let row = transaction.query_one(&statement, &[&n.to_string()]).await?;
            expect((row.get::<_, i32>(0), row.get::<_, String>(1)), (who, n.to_string()), "own row");
            transaction.commit().await?;
        }
        Ok(())
    })
    .await;

    everywhere("cancel", |client, who| async move {
        let (token, sleep) = (client.cancel_token(), client.prepare("select pg_sleep(60)").await?);
        for n in 0..5 {
            if who % 2 == 1 {
                let canceller = token.clone();
                let repeated = tokio::spawn(async move {
                    loop {
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        let _ = canceller.cancel_query(NoTls).await;
                    }
                });
                let outcome = client.query(&sleep, &[]).await;
                repeated.abort();
                let _ = repeated.await;
                match outcome {
                    Err(e) if e.code() == Some(&SqlState::QUERY_CANCELED) => {}
                    other => fail(format!("not cancelled: {other:?}")),
                }
            } else {
                let row = client.query_one(&own(who, "beside somebody's cancel"), &[&n.to_string()]).await?;
                expect(row.get::<_, i32>(0), who, "own row");
            }
        }
        Ok(())
    })
    .await;
}
