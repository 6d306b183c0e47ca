-- Roles, brought in line with the secrets at every start. May be run any number of times.
-- Expects app_password, monitor_password and replicator_password.

select format('create role %I', name) from (values ('app'), ('monitor'), ('replicator')) wanted (name)
 where not exists (select from pg_roles where rolname = name) \gexec

alter role app        login nosuperuser nocreaterole nocreatedb noreplication nobypassrls password :'app_password';
alter role monitor    login nosuperuser nocreaterole nocreatedb noreplication password :'monitor_password';
alter role replicator login nosuperuser nocreaterole nocreatedb replication password :'replicator_password';
grant pg_monitor to monitor;

-- Whoever is not named has no business here.
revoke all on database postgres from public;
grant connect on database postgres to monitor;
