import DockerAPI
import Engine
import Fleet
import Foundation
import LighterTesting
import Testing

@testable import FrontDoor

@NodeLoop
@Suite("The routes of a device")
struct RouteBookTests {
    private func route(_ id: String, _ name: String, target: String = "cloud1") throws -> Route {
        Route(
            containerID: id, name: name, workload: .random(), epoch: .max, target: try NodeID(target),
            ticket: [1, 0, 255],
            ticketRenewal: 12.5, image: "busybox", imageID: "sha256:1", hasTerminal: true, removesItself: false,
            createdAt: 1.25)
    }

    private let first = String(repeating: "a1", count: 32)
    private let second = String(repeating: "a2", count: 32)

    @Test("A create that was on its way is known after a restart, until its end was heard")
    func creating() throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal.db")
        let (workload, node) = (WorkloadID.random(), try NodeID("cloud1"))
        try Journal(path: path).putCreating(workload, at: node)
        let journal = try Journal(path: path)
        #expect(try journal.creating().map(\.workload) == [workload])
        #expect(try journal.creating().map(\.target) == [node])
        try journal.removeCreating(workload, at: try NodeID("cloud2"))
        #expect(try journal.creating().count == 1, "it is under way at another node")
        try journal.removeCreating(workload, at: node)
        #expect(try Journal(path: path).creating().isEmpty)
    }

    @Test("A name that is held is waited for, by one after the other")
    func holding() async throws {
        let folder = try ScratchFolder()
        let book = try RouteBook(journal: Journal(path: folder.file("journal.db")))
        #expect(book.reserve("web"))
        let (order, inlet) = AsyncStream<Int>.makeStream()
        let waiters = (1...3).map { number in
            Task { @NodeLoop in
                await book.hold("web")
                inlet.yield(number)
                book.unreserve("web")
            }
        }
        book.unreserve("web")
        for waiter in waiters { await waiter.value }
        inlet.finish()
        var seen: Set<Int> = []
        for await number in order { seen.insert(number) }
        #expect(seen == [1, 2, 3])
        #expect(book.reserve("web"))
    }

    @Test("A journal of an earlier form is read, and what came since has its defaults")
    func earlierForm() throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal.db")
        let old = try Database(path: path)
        try old.run(
            """
            CREATE TABLE route(
              container TEXT PRIMARY KEY, name TEXT NOT NULL, workload TEXT NOT NULL, epoch INTEGER NOT NULL,
              target TEXT NOT NULL, ticket BLOB NOT NULL, renewal REAL NOT NULL, image TEXT NOT NULL,
              image_id TEXT NOT NULL, terminal INTEGER NOT NULL, removes INTEGER NOT NULL, created REAL NOT NULL
            ) WITHOUT ROWID
            """)
        try old.run(
            "INSERT INTO route VALUES(?,?,?,1,'cloud1',x'00',2.5,'busybox','',0,0,1.5)",
            [.text(first), .text("web"), .text(WorkloadID.random().hex)])
        try old.run("CREATE TABLE halt(container TEXT PRIMARY KEY, epoch INTEGER NOT NULL, given INTEGER NOT NULL)")
        try old.run("INSERT INTO halt VALUES(?,7,1)", [.text(first)])
        let journal = try Journal(path: path)
        #expect(try journal.halts() == [Journal.Halt(container: first, epoch: 7, stage: .given)])
        let found = try #require(try journal.routes().first)
        #expect(found.name == "web" && found.createdAt == 1.5)
        #expect(found.ports.isEmpty && !found.publishes && found.labels.isEmpty)
    }

    @Test("This device's own workloads are known after a restart, until they are gone")
    func localWorkloads() throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal.db")
        let node = try NodeID("edge1")
        var workload = Workload(
            id: .random(), tenant: .main, origin: node, target: node, version: Version(epoch: 3, sequence: 9),
            name: "web")
        workload.containerID = first
        workload.createdAt = 12.5
        try Journal(path: path).putLocal(first, workload)
        let journal = try Journal(path: path)
        #expect(try journal.localWorkloads() == [first: workload])
        try journal.removeLocal(first)
        #expect(try Journal(path: path).localWorkloads().isEmpty)
    }

    @Test("A reference means a full id, then a name, then a prefix that is unique")
    func resolve() throws {
        let folder = try ScratchFolder()
        let book = try RouteBook(journal: Journal(path: folder.file("journal.db")))
        let one = try route(first, "web")
        let two = try route(second, "a1")
        try book.put(one)
        try book.put(two)
        #expect(book.resolve(first) == .exact(one))
        #expect(book.resolve("web") == .exact(one))
        #expect(book.resolve("/web") == .exact(one))
        #expect(book.resolve("a1") == .exact(two), "a name goes before a prefix")
        #expect(book.resolve("a1a") == .prefix(one))
        #expect(book.resolve("a") == .ambiguous)
        #expect(book.resolve("b") == .none)
        #expect(book.resolve("") == .none)
    }

    @Test("A restart forgets nothing")
    func restart() throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal.db")
        var one = try route(first, "web")
        one.loss = LossPolicy(kind: .restart, attempts: 5, returns: .keepOriginal)
        one.original = try NodeID("cloud9")
        do {
            let book = try RouteBook(journal: Journal(path: path))
            try book.put(one)
            try book.put(try route(second, "db"))
            try book.remove(second)
        }
        let again = try RouteBook(journal: Journal(path: path))
        #expect(again.all == [one])
        #expect(again.named("db") == nil)
    }

    @Test("A renamed container is found under its new name only")
    func rename() throws {
        let folder = try ScratchFolder()
        let book = try RouteBook(journal: Journal(path: folder.file("journal.db")))
        var one = try route(first, "web")
        try book.put(one)
        one.name = "site"
        try book.put(one)
        #expect(book.named("web") == nil)
        #expect(book.named("site") == one)
    }

    @Test("A name that a create in progress holds is not given twice")
    func reserve() throws {
        let folder = try ScratchFolder()
        let book = try RouteBook(journal: Journal(path: folder.file("journal.db")))
        #expect(book.reserve("web"))
        #expect(!book.reserve("web"))
        book.unreserve("web")
        #expect(book.reserve("web"))
        #expect(book.reserve("") && book.reserve(""), "no name is nobody's")
    }

    @Test("A journal that is no database is refused with what to do, and left as it is")
    func corrupt() throws {
        let folder = try ScratchFolder()
        let path = folder.file("journal.db")
        let text = String(repeating: "this is not a database ", count: 100)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        #expect { try Journal(path: path) } throws: { error in
            "\(error)".contains("move the file away")
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
    }
}
