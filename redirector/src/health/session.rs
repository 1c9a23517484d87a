//! A connection that has introduced itself to a server, and the one question a probe has.

use redis::{Value, cmd};
use tokio::time::Instant;

use super::{
    Excerpt, Failure, Target,
    reply::{is_denied, misfit, text, wants_no_password},
    resp::Connection,
};
use crate::{
    config::Auth,
    topology::{Replication, ReplyError},
};

#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    /// INFO is forbidden here, so ROLE is asked, which tells less.
    asks_role: bool,
}

impl Session {
    /// Connects, and authenticates where the configuration says so.
    pub(super) async fn open(target: &Target, deadline: Instant) -> Result<Self, Failure> {
        let mut connection = Connection::open(target.address, deadline).await?;
        if let Some(auth) = &target.auth {
            authenticate(&mut connection, auth, deadline).await?;
        }
        Ok(Self { connection, asks_role: false })
    }

    /// Asks whether the server is well, and for its part in replication.
    pub(super) async fn replication(&mut self, deadline: Instant) -> Result<Replication, Failure> {
        if self.asks_role {
            let [ping, role] = self.connection.ask([cmd("PING"), cmd("ROLE")], deadline).await?;
            check_pong(&ping)?;
            return read_role(&role);
        }
        let mut info = cmd("INFO");
        info.arg("replication");
        let [ping, info] = self.connection.ask([cmd("PING"), info], deadline).await?;
        check_pong(&ping)?;
        if let Value::ServerError(error) = &info
            && is_denied(error)
        {
            self.asks_role = true;
            let [role] = self.connection.ask([cmd("ROLE")], deadline).await?;
            return read_role(&role);
        }
        match (&info, text(&info)) {
            (Value::ServerError(error), _) => Err(error.into()),
            (_, Some(info)) => Replication::parse_info(&info).map_err(|error| no_role(&error)),
            (other, None) => Err(misfit(other)),
        }
    }
}

/// PING goes first, so that the password is never told to something that is not Redis.
async fn authenticate(connection: &mut Connection, auth: &Auth, deadline: Instant) -> Result<(), Failure> {
    let [ping] = connection.ask([cmd("PING")], deadline).await?;
    if !matches!(ping, Value::ServerError(_)) {
        check_pong(&ping)?;
    }
    let mut command = cmd("AUTH");
    if let Some(username) = &auth.username {
        command.arg(username);
    }
    command.arg(auth.password.reveal());
    let [reply] = connection.ask([command], deadline).await?;
    if reply == Value::Okay {
        return Ok(());
    }
    let Value::ServerError(error) = &reply else {
        // Never with what it said: an echo would put the password into the log.
        return Err(Failure::NotRedis(Excerpt::new("an answer to AUTH that is none")));
    };
    if wants_no_password(error) { Ok(()) } else { Err(error.into()) }
}

fn check_pong(reply: &Value) -> Result<(), Failure> {
    // A user without the right to PING may still have the right to the question that counts.
    let forbidden = matches!(reply, Value::ServerError(error) if error.code() == "NOPERM");
    if forbidden || text(reply).as_deref() == Some("PONG") { Ok(()) } else { Err(misfit(reply)) }
}

fn read_role(reply: &Value) -> Result<Replication, Failure> {
    if let Value::ServerError(error) = reply {
        return Err(error.into());
    }
    Replication::parse_role(reply).map_err(|error| no_role(&error))
}

fn no_role(error: &ReplyError) -> Failure {
    Failure::NoRole(Excerpt::new(error.to_string()))
}
