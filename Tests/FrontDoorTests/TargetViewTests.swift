import DockerAPI
import Engine
import Fleet
import Testing

@testable import FrontDoor

@Suite("What nodes have pushed")
@NodeLoop
struct TargetViewTests {
    static let listed = Array(#"{"Id":"c1","State":"running","Status":"old"}"#.utf8)
    static let inspected = Array(
        #"{"Id":"c1","State":{"Status":"running","StartedAt":"2026-01-01T00:00:00Z"}}"#.utf8)
    /// A minute after the start.
    static let now = 1_767_225_660.0

    static func heard() -> TargetView {
        let view = TargetView()
        view.hear()
        view.put("c1", listed: listed, inspected: inspected, clockLead: 0, as: 0)
        return view
    }

    @Test("An entry is shown with the time of now, by its node's clock")
    func shown() throws {
        let view = Self.heard()
        #expect(view.listed("c1", now: Self.now)?["Status"] == "Up About a minute")
        #expect(view.inspected("c1")?["Id"] == "c1")
        view.put("c1", listed: Self.listed, inspected: Self.inspected, clockLead: 3600, as: 0)
        #expect(view.listed("c1", now: Self.now)?["Status"] == "Up About an hour")
        #expect(view.listed("c2", now: Self.now) == nil)
    }

    @Test("A touch makes it old at once, and a reading that was begun before it says nothing")
    func touched() {
        let view = Self.heard()
        let before = view.moment(of: ["c1"])
        view.touch("c1")
        #expect(view.listed("c1", now: Self.now) == nil)
        view.put("c1", listed: Self.listed, inspected: Self.inspected, clockLead: 0, as: before["c1"] ?? -1)
        #expect(!view.isKnown("c1"))
        view.put(
            "c1", listed: Self.listed, inspected: Self.inspected, clockLead: 0, as: view.moment(of: ["c1"])["c1"] ?? -1)
        #expect(view.isKnown("c1"))
    }

    @Test("A node that is not heard is not believed, nor what was read in another version")
    func silence() {
        let view = Self.heard()
        view.silence()
        #expect(view.listed("c1", now: Self.now) == nil)
        view.put("c1", listed: Self.listed, inspected: Self.inspected, clockLead: 0, as: 0)
        #expect(!view.isKnown("c1"))
        let before = view.moment(of: ["c1"])
        view.hear()
        view.silence()
        view.hear()
        view.put("c1", listed: Self.listed, inspected: Self.inspected, clockLead: 0, as: before["c1"] ?? -1)
        #expect(!view.isKnown("c1"), "read before its node fell silent")
        let other = Self.heard()
        other.speak("/v1.40")
        #expect(other.inspected("c1") == nil)
    }

    @Test("Health checks change an inspection without an event, so it is asked")
    func health() {
        let view = TargetView()
        view.hear()
        let checked = Array(#"{"State":{"Status":"running","Health":{"Status":"healthy"}}}"#.utf8)
        view.put("c1", listed: Self.listed, inspected: checked, clockLead: 0, as: 0)
        #expect(view.inspected("c1") == nil)
        #expect(view.listed("c1", now: Self.now)?["Status"]?.stringValue?.hasSuffix("(healthy)") == true)
    }

    @Test("One reading at a time, and none of a node that is not heard")
    func reading() {
        let view = TargetView()
        #expect(!view.beginReading())
        view.hear()
        #expect(view.beginReading())
        #expect(!view.beginReading())
        view.endReading()
        #expect(view.beginReading())
    }
}

@Suite("The words of a status")
struct StatusTextTests {
    @Test(
        "A state is worded as an engine words it",
        arguments: [
            (#"{"Status":"running","StartedAt":"2026-01-01T00:00:00Z"}"#, "Up 5 minutes"),
            (
                #"{"Status":"running","StartedAt":"2026-01-01T00:00:00Z","Health":{"Status":"starting"}}"#,
                "Up 5 minutes (health: starting)"
            ),
            (
                #"{"Status":"running","StartedAt":"2026-01-01T00:00:00Z","Health":{"Status":"unhealthy"}}"#,
                "Up 5 minutes (unhealthy)"
            ),
            (#"{"Status":"paused","StartedAt":"2026-01-01T00:00:00Z"}"#, "Up 5 minutes (Paused)"),
            (#"{"Status":"exited","ExitCode":137,"FinishedAt":"2026-01-01T00:04:59Z"}"#, "Exited (137) 1 second ago"),
            (
                #"{"Status":"restarting","ExitCode":1,"FinishedAt":"2026-01-01T00:04:50Z"}"#,
                "Restarting (1) 10 seconds ago"
            ),
            (#"{"Status":"created","StartedAt":"0001-01-01T00:00:00Z"}"#, "Created"), (#"{"Status":"dead"}"#, "Dead"),
            (#"{"Status":"removing"}"#, "Removal In Progress"),
        ])
    func words(state: String, text: String) throws {
        #expect(StatusText.make(try JSON.parse(Array(state.utf8)), now: 1_767_225_900) == text)
    }

    @Test(
        "Durations are rounded as Docker rounds them",
        arguments: [
            (0.4, "Less than a second"), (1.9, "1 second"), (59.9, "59 seconds"), (60, "About a minute"),
            (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"), (60 * 86400, "2 months"),
            (800 * 86400, "2 years"),
        ] as [(Double, String)])
    func durations(seconds: Double, text: String) { #expect(StatusText.duration(seconds) == text) }

    @Test("A state of a later engine is left as that words it")
    func unknown() { #expect(StatusText.make(["Status": "frozen"], now: 0) == nil) }

    @Test("The date of an answer is read, and nothing else is")
    func date() {
        #expect(HTTPDate.seconds("Thu, 01 Jan 2026 00:01:00 GMT") == 1_767_225_660)
        for text in ["", "Thu, 1 Jan 2026 00:01:00 GMT", "Thu, 01 Foo 2026 00:01:00 GMT", "2026-01-01T00:00:00Z"] {
            #expect(HTTPDate.seconds(text) == nil)
        }
    }
}

@Suite("Filters of a list that is known")
struct KnownListTests {
    static let web: JSON = [
        "Id": "abc123", "State": "running", "Status": "Up 5 minutes", "Labels": ["app": "web"],
        "NetworkSettings": ["Networks": ["app": ["NetworkID": "n1"]]],
        "Mounts": [["Name": "data", "Destination": "/d"]],
    ]
    static let done: JSON = ["Id": "def456", "State": "exited", "Status": "Exited (3) 2 hours ago", "Labels": [:]]

    @Test(
        "A known list shows what an engine's would",
        arguments: [
            ("", true, false), ("all=1", true, true), ("limit=5", true, true),
            (#"filters={"status":["exited"]}"#, false, true), (#"all=1&filters={"exited":["3"]}"#, false, true),
            (#"all=1&filters={"exited":["4"]}"#, false, false), (#"all=1&filters={"id":["abc"]}"#, true, false),
            (#"filters={"label":["app"]}"#, true, false), (#"filters={"label":["app=db"]}"#, false, false),
            (#"filters={"network":["app"]}"#, true, false), (#"filters={"network":["n1"]}"#, true, false),
            (#"filters={"volume":["data"]}"#, true, false), (#"filters={"volume":["/x"]}"#, false, false),
        ])
    func selects(query: String, web: Bool, done: Bool) throws {
        let request = try ListRequest(Query(query))
        #expect(request.isAnsweredHere)
        #expect(request.selects(Self.web) == web)
        #expect(request.selects(Self.done) == done)
    }

    @Test(
        "Sizes, health and images are asked",
        arguments: ["size=1", #"filters={"health":["none"]}"#, #"filters={"ancestor":["x"]}"#])
    func asked(query: String) throws { #expect(try !ListRequest(Query(query)).isAnsweredHere) }
}
