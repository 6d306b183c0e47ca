-- The database named by the variable "database", as the services expect it. May be run any
-- number of times: at every start, and by a restore for the database that it fills.

select format('create database %I owner app', :'database')
 where not exists (select from pg_database where datname = :'database') \gexec

-- A restore that was cut off may have left it closed.
alter database :"database" allow_connections true;
revoke all on database :"database" from public;
grant connect on database :"database" to monitor;
