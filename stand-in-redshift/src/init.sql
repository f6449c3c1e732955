-- What Redshift has and PostgreSQL has not, in a schema that is looked at first.
CREATE SCHEMA redshift;
GRANT USAGE ON SCHEMA redshift TO PUBLIC;

CREATE DOMAIN redshift.super AS jsonb;
CREATE FUNCTION redshift.json_parse(text text) RETURNS redshift.super LANGUAGE sql IMMUTABLE AS 'SELECT text::jsonb';
CREATE FUNCTION redshift.json_serialize(value redshift.super) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT value::jsonb::text';
CREATE FUNCTION redshift.from_hex(text text) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT decode(text, ''hex'')';
CREATE FUNCTION redshift.to_hex(value bytea) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT encode(value, ''hex'')';
CREATE FUNCTION redshift.getdate() RETURNS timestamp LANGUAGE sql STABLE AS 'SELECT date_trunc(''second'', localtimestamp)';
CREATE FUNCTION redshift.pg_last_copy_count() RETURNS bigint LANGUAGE sql STABLE AS
  'SELECT coalesce(nullif(current_setting(''redshift.last_copy_count'', true), ''''), ''0'')::bigint';

-- The types that count bytes, made when a statement first names them.
CREATE FUNCTION redshift.sized_type(kind text, bytes integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  name text := kind || '(' || bytes || ')';
BEGIN
  PERFORM pg_advisory_xact_lock(5439);
  IF NOT EXISTS (SELECT FROM pg_type WHERE typname = name AND typnamespace = 'redshift'::regnamespace) THEN
    EXECUTE format('CREATE DOMAIN redshift.%I AS %s CHECK (octet_length(VALUE) <= %s)',
      name, CASE kind WHEN 'binary varying' THEN 'bytea' ELSE 'text' END, bytes);
  END IF;
END $$;

-- The words in which Redshift's catalog has them.
CREATE FUNCTION redshift.format_type(type oid, modifier integer) RETURNS text LANGUAGE sql STABLE AS
  'SELECT CASE WHEN typnamespace = ''redshift''::regnamespace THEN typname::text
          ELSE pg_catalog.format_type(type, modifier) END FROM pg_type WHERE oid = type';

CREATE VIEW redshift.svv_redshift_schemas AS
  SELECT current_database()::text AS database_name, nspname::text AS schema_name, nspowner AS schema_owner,
    'local'::text AS schema_type, ''::text AS schema_acl, ''::text AS schema_option
  FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|redshift$)';

CREATE VIEW redshift.svv_redshift_columns AS
  SELECT current_database()::text AS database_name, n.nspname::text AS schema_name, c.relname::text AS table_name,
    a.attname::text AS column_name, a.attnum AS ordinal_position, redshift.format_type(a.atttypid, a.atttypmod) AS data_type,
    CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable, col_description(c.oid, a.attnum) AS remarks
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^(pg_|information_schema|redshift$)';

CREATE VIEW redshift.svv_columns AS
  SELECT database_name AS table_catalog, schema_name AS table_schema, table_name, column_name, ordinal_position, data_type,
    is_nullable, remarks
  FROM redshift.svv_redshift_columns;

CREATE VIEW redshift.pg_table_def AS
  SELECT schema_name AS schemaname, table_name AS tablename, column_name AS "column", data_type AS type,
    is_nullable = 'NO' AS "notnull"
  FROM redshift.svv_redshift_columns WHERE schema_name = ANY (current_schemas(false));

-- What a COPY could not load, and what was copied: kept apart from the transaction that was.
CREATE TABLE redshift.load_errors (
  at timestamp DEFAULT clock_timestamp(), session integer, table_name text, file_name text, line_number bigint,
  column_name text, column_type text, value text, code integer, reason text);
CREATE TABLE redshift.history (
  at timestamp DEFAULT clock_timestamp(), session integer, query_type text, query_text text, status text, rows bigint);
CREATE VIEW redshift.stl_load_errors AS
  SELECT 100 AS userid, at AS starttime, session, rpad(file_name, 256) AS filename, line_number, rpad(column_name, 127) AS colname,
    rpad(column_type, 10) AS type, rpad(coalesce(value, ''), 1024) AS raw_field_value, code AS err_code, rpad(reason, 100) AS err_reason
  FROM redshift.load_errors;
CREATE VIEW redshift.sys_load_error_detail AS
  SELECT 100 AS user_id, at AS start_time, session AS session_id, current_database()::text AS database_name, file_name,
    line_number, column_name, column_type, code AS error_code, reason AS error_message
  FROM redshift.load_errors;
CREATE VIEW redshift.sys_query_history AS
  SELECT 100 AS user_id, at AS start_time, session AS session_id, current_database()::text AS database_name, query_type,
    query_text, status, rows AS returned_rows
  FROM redshift.history;
GRANT SELECT ON ALL TABLES IN SCHEMA redshift TO PUBLIC;
