-- Contract step: the tools query the workload in ClickHouse since 0.2; nothing reads this table any more.
DROP TABLE workload;
