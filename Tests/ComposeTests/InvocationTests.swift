import Testing

@testable import Compose

@Suite("The call of the real Compose")
struct InvocationTests {
    private static let offload = "services: {a: {image: i, x-offload: {policy: remote}}}"
    private static let policy = "services: {a: {image: i, offload_policy: {policy: remote}}}"
    private static let plain = "services: {a: {image: i}}"

    @Test("With nothing of Lighter's in any file, the call is what was typed")
    func asTyped() throws {
        let disk: Disk = ["/app/compose.yaml": Self.plain, "-": Self.plain]
        for words in [["up", "-d"], ["-f", "compose.yaml", "ps"], ["-f-", "config"], ["-f", "gone.yaml", "up"]] {
            let found = try ComposeInvocation(words, environment: [:], working: "/app", read: disk.read)
            #expect(found.isAsTyped)
            #expect(found.call(opening: []) == (words, [:]))
        }
    }

    @Test("Files of usual names are handed over by COMPOSE_FILE, with the overlay on top")
    func defaults() throws {
        let disk: Disk = [
            "/app/compose.yaml": Self.offload, "/app/docker-compose.yml": Self.plain,
            "/app/compose.override.yml": Self.plain,
        ]
        let found = try disk.invocation("-p", "x", "up", "-d", working: "/app/deep/down")
        #expect(found.texts.count == 1)
        let (arguments, environment) = found.call(opening: ["/fd/5"])
        #expect(arguments == ["-p", "x", "up", "-d"])
        #expect(environment["COMPOSE_FILE"] == "/app/compose.yaml:/app/compose.override.yml:/fd/5")
        #expect(environment["COMPOSE_PATH_SEPARATOR"] == ":")
    }

    @Test(
        "Of several usual names Compose's favourite counts",
        arguments: zip(
            ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"], [0, 1, 2, 3]))
    func favourites(name: String, rank: Int) throws {
        let names = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"][rank...]
        let found = try ComposeInvocation([], environment: [:], working: "/app") { path in
            names.contains { "/app/\($0)" == path } ? Self.offload : nil
        }
        #expect(found.call(opening: ["/fd/5"]).environment["COMPOSE_FILE"] == "/app/\(name):/fd/5")
    }

    @Test("A first file that had to be replaced leaves the project its folder")
    func folder() throws {
        let disk: Disk = ["/app/sub/compose.yaml": Self.policy, "/app/more.yaml": Self.plain]
        let words = ["--profile", "p", "-f", "sub/compose.yaml", "-fmore.yaml", "run", "-f", "x"]
        let found = try ComposeInvocation(words, environment: [:], working: "/app", read: disk.read)
        #expect(found.texts.first == Self.policy.replacing("offload_policy", with: "x-offload-policy"))
        let (arguments, environment) = found.call(opening: ["/fd/5", "/fd/6"])
        #expect(
            arguments == [
                "--project-directory", "/app/sub", "--file", "/fd/5", "--file", "more.yaml", "--file", "/fd/6",
                "--profile", "p", "run", "-f", "x",
            ])
        #expect(environment.isEmpty)
    }

    @Test("A folder that was given for the project stays, and paths begin there")
    func givenFolder() throws {
        let disk: Disk = [
            "/app/compose.yaml":
                "services: {a: {offload_policy: {tags: x}, extends: {file: base.yaml, service: b}}}",
            "/srv/base.yaml": "services: {b: {image: i, x-offload: {policy: local}}}",
        ]
        let found = try disk.invocation("--project-directory=/srv", "--file=compose.yaml", "up")
        #expect(found.texts.last?.contains("\"lighter.policy\": \"local\"") == true)
        #expect(
            found.call(opening: ["/fd/5", "/fd/6"]).arguments
                == ["--file", "/fd/5", "--file", "/fd/6", "--project-directory=/srv", "up"])
    }

    @Test("Standard input is handed over as a file, in the folder where the command was typed")
    func standardInput() throws {
        for text in [Self.offload, Self.policy] {
            let disk: Disk = ["-": text]
            let found = try disk.invocation("-f", "-", "up")
            #expect(found.texts.count == 2)
            #expect(
                found.call(opening: ["/fd/5", "/fd/6"]).arguments
                    == ["--project-directory", "/app", "--file", "/fd/5", "--file", "/fd/6", "up"])
        }
    }

    @Test("COMPOSE_FILE is heeded, from the environment before environment files, with its separator")
    func variables() throws {
        let disk: Disk = [
            "/app/a.yaml": Self.offload, "/app/b.yaml": Self.plain,
            "/app/.env": """
            # COMPOSE_FILE=c.yaml
            export COMPOSE_FILE='b.yaml;a.yaml' # both
            COMPOSE_PATH_SEPARATOR=; # x
            """,
            "/app/other.env": "COMPOSE_FILE=a.yaml\n",
        ]
        func files(_ words: String..., environment: [String: String] = [:]) throws -> String? {
            try ComposeInvocation(words, environment: environment, working: "/app", read: disk.read)
                .call(opening: ["/fd/5"]).environment["COMPOSE_FILE"]
        }
        #expect(try files("up") == "b.yaml;a.yaml;/fd/5")
        #expect(try files("up", environment: ["COMPOSE_FILE": "a.yaml"]) == "a.yaml;/fd/5")
        #expect(try files("--env-file", "other.env", "up") == "a.yaml:/fd/5")
        #expect(try files("up", environment: ["COMPOSE_ENV_FILES": "other.env"]) == "a.yaml:/fd/5")
        #expect(try files("up", environment: ["COMPOSE_DISABLE_ENV_FILE": "true"]) == nil)
    }

    @Test("A separator that stands in a path is not used")
    func separator() throws {
        let disk: Disk = ["/a:b/compose.yaml": Self.offload]
        let environment = try disk.invocation("up", working: "/a:b").call(opening: ["/fd/5"]).environment
        #expect(environment["COMPOSE_FILE"] == "/a:b/compose.yaml\n/fd/5")
        #expect(environment["COMPOSE_PATH_SEPARATOR"] == "\n")
    }

    @Test("Paths are joined by their words", arguments: [("../a", "/a"), ("./b//c/", "/app/b/c"), ("/x/../y", "/y")])
    func paths(path: String, expected: String) {
        #expect(FilePath.absolute(path, from: "/app") == expected)
        #expect(FilePath.absolute("../../..", from: "/app") == "/")
    }
}
