import ArgumentParser

struct DataOption: ParsableArguments {
    @Option(help: ArgumentHelp("Folder for the fleet's keys and ledger.", valueName: "dir"))
    var data: String
}
