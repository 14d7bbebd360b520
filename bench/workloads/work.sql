-- SPDX-License-Identifier: Apache-2.0
create table t(id integer primary key, k int, name text, v real);
begin;
with recursive c(i) as (select 1 union all select i+1 from c where i < 200000)
insert into t select i, (i * 7919) % 100003, 'name' || ((i * 31) % 5003), i / 7.0 from c;
commit;
create index tk on t(k);
create index tn on t(name);
select count(*), sum(v) from t where k between 1000 and 60000;
select name, count(*) c, avg(v) from t group by name order by c desc, name limit 5;
select count(*) from t a join t b on a.k = b.id where b.v > 5000;
