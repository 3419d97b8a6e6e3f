import DockerAPI
import Testing

@Suite("Filters of events")
struct EventFilterTests {
    static func filters(_ terms: [(String, String)]) -> DockerFilters {
        var filters = DockerFilters()
        for (name, value) in terms { filters.add(name, value) }
        return filters
    }

    static let event: JSON = [
        "Type": "volume", "Action": "create", "scope": "local",
        "Actor": ["ID": "data", "Attributes": ["driver": "local"]],
    ]

    @Test(
        "An event of a volume passes what an engine lets pass",
        arguments: [
            ([], true), ([("type", "volume")], true), ([("type", "network"), ("type", "volume")], true),
            ([("type", "container")], false), ([("event", "create")], true), ([("event", "destroy")], false),
            ([("volume", "data")], true), ([("volume", "da")], true), ([("volume", "database")], false),
            ([("container", "data")], true), ([("container", "web")], false), ([("label", "a=b")], false),
            ([("image", "busybox")], false), ([("scope", "local")], true), ([("scope", "swarm")], false),
            ([("type", "volume"), ("event", "create"), ("volume", "data")], true),
        ] as [([(String, String)], Bool)])
    func volume(terms: [(String, String)], passes: Bool) {
        #expect(Self.filters(terms).admit(objectEvent: Self.event) == passes)
    }

    @Test("A network is meant by the beginning of its id or of its name")
    func network() {
        let event: JSON = ["Type": "network", "Actor": ["ID": "abc123", "Attributes": ["name": "app"]]]
        for (value, passes) in [("abc", true), ("app", true), ("ap", true), ("bridge", false)] {
            #expect(Self.filters([("network", value)]).admit(event: event, byName: "network") == passes, "\(value)")
        }
        #expect(Self.filters([]).admit(event: event, byName: "network"))
    }

    @Test(
        "Networks and volumes are looked for only where they may be found",
        arguments: [
            ([], true), ([("type", "network")], true), ([("type", "container"), ("type", "volume")], true),
            ([("type", "container")], false), ([("label", "a")], false), ([("image", "a")], false),
            ([("event", "mount")], true),
        ] as [([(String, String)], Bool)])
    func objects(terms: [(String, String)], mayBe: Bool) {
        #expect(Self.filters(terms).admitsObjectEvents == mayBe)
    }

    @Test("Only a name that an engine draws is none of a user's")
    func names() {
        #expect(VolumeName.isAnonymous(String(repeating: "0f", count: 32)))
        for name in ["", "data", String(repeating: "0f", count: 31), String(repeating: "0G", count: 32)] {
            #expect(!VolumeName.isAnonymous(name))
        }
    }
}
