import GRDB

/// The tables, and how older ledgers become today's: migrations are only ever added at the end.
enum LedgerSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 workloads, nodes, tokens, durations, settings") { database in
            try database.execute(sql: workloads)
            try database.execute(sql: theRest)
        }
        migrator.registerMigration("2 workloads in the order in which they came") { database in
            try database.execute(sql: numberedWorkloads)
        }
        return migrator
    }

    // `epoch` and `sequence` are the bits of unsigned numbers, and are compared in Swift. `changedAt` is by the
    // gateway's clock. Decisions stand apart: they are large, and never change with a report.
    private static let workloads = """
        CREATE TABLE workload (
            id TEXT PRIMARY KEY NOT NULL,
            tenant TEXT NOT NULL,
            origin TEXT NOT NULL,
            target TEXT NOT NULL,
            state TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            containerID TEXT NOT NULL,
            name TEXT NOT NULL,
            image TEXT NOT NULL,
            cpus REAL NOT NULL,
            memory INTEGER NOT NULL,
            exitCode INTEGER,
            error TEXT NOT NULL,
            createdAt REAL NOT NULL,
            startedAt REAL NOT NULL,
            finishedAt REAL NOT NULL,
            workKey TEXT NOT NULL,
            changedAt REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX workloadByContainer ON workload (containerID) WHERE containerID <> '';
        CREATE INDEX workloadByName ON workload (name) WHERE name <> '';
        CREATE INDEX workloadRemoved ON workload (changedAt) WHERE state = 'removed';
        CREATE TABLE decision (
            workload TEXT PRIMARY KEY NOT NULL REFERENCES workload (id) ON DELETE CASCADE,
            json BLOB NOT NULL
        );
        """

    // As they were when that step was made: a step stays what it was, whatever columns are added later.
    private static let columnsThen = """
        id, tenant, origin, target, state, epoch, sequence, containerID, name, image, cpus, memory, exitCode, error, \
        createdAt, startedAt, finishedAt, workKey, changedAt
        """

    // Workloads that came together move together: in this order they share pages, and a commit writes few. The writer finds
    // a row that it knows by `number`, which costs less than by a key of 32 digits.
    private static let numberedWorkloads = """
        CREATE TABLE numbered (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            origin TEXT NOT NULL,
            target TEXT NOT NULL,
            state TEXT NOT NULL,
            epoch INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            containerID TEXT NOT NULL,
            name TEXT NOT NULL,
            image TEXT NOT NULL,
            cpus REAL NOT NULL,
            memory INTEGER NOT NULL,
            exitCode INTEGER,
            error TEXT NOT NULL,
            createdAt REAL NOT NULL,
            startedAt REAL NOT NULL,
            finishedAt REAL NOT NULL,
            workKey TEXT NOT NULL,
            changedAt REAL NOT NULL
        );
        INSERT INTO numbered (\(columnsThen)) SELECT \(columnsThen) FROM workload ORDER BY createdAt, id;
        DROP TABLE workload;
        ALTER TABLE numbered RENAME TO workload;
        CREATE INDEX workloadByContainer ON workload (containerID) WHERE containerID <> '';
        CREATE INDEX workloadByName ON workload (name) WHERE name <> '';
        CREATE INDEX workloadRemoved ON workload (changedAt) WHERE state = 'removed';
        """

    private static let theRest = """
        CREATE TABLE node (
            id TEXT PRIMARY KEY NOT NULL,
            tenant TEXT NOT NULL,
            json BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE member (
            name TEXT PRIMARY KEY NOT NULL,
            tenant TEXT NOT NULL,
            token TEXT NOT NULL,
            joinedAt REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE token (
            id TEXT PRIMARY KEY NOT NULL,
            secretHash BLOB NOT NULL,
            tenant TEXT NOT NULL,
            expiresAt REAL NOT NULL,
            isOperator INTEGER NOT NULL,
            usedAt REAL,
            usedBy TEXT
        ) WITHOUT ROWID;
        CREATE TABLE duration (
            workKey TEXT PRIMARY KEY NOT NULL,
            json BLOB NOT NULL,
            changedAt REAL NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX durationByAge ON duration (changedAt);
        CREATE TABLE setting (
            key TEXT PRIMARY KEY NOT NULL,
            value TEXT NOT NULL
        ) WITHOUT ROWID;
        """
}
