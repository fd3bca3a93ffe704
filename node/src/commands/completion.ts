/** `mailbearer completion SHELL`: a script that makes a shell complete the command, from its own description. */
import { type Command, WrongUse } from "./arguments";

const PROVIDERS = ["gmail", "microsoft", "yahoo", "aol", "fastmail", "yandex", "mailru", "icloud"];
/** What the value of an option may be, where there are few. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
    provider: PROVIDERS,
    mechanism: ["XOAUTH2", "OAUTHBEARER"],
    store: ["keyring", "file"],
};
const WORDS: Readonly<Record<string, readonly string[]>> = { completion: ["bash", "zsh", "fish"] };

interface Option {
    readonly name: string;
    readonly about: string;
    readonly takesValue: boolean;
    readonly values: readonly string[];
    readonly isFile: boolean;
}

interface Described {
    readonly name: string;
    readonly about: string;
    readonly options: readonly Option[];
    readonly words: readonly string[];
}

/** The command, for a table of which it is part itself. */
export function completionOf(commands: () => Readonly<Record<string, Command>>): Command {
    return {
        usage: "completion SHELL",
        summary: "print what makes a shell complete this command",
        help: `usage: mailbearer completion SHELL

SHELL is bash, zsh or fish. For bash, put eval "$(mailbearer completion bash)" into ~/.bashrc; for zsh, the same with zsh into
~/.zshrc, behind compinit; for fish, mailbearer completion fish | source into ~/.config/fish/config.fish.
`,
        options: {},
        run([shell, ...others]) {
            const writer = { bash, zsh, fish }[shell ?? ""];
            if (writer === undefined || others.length > 0) {
                throw new WrongUse("give one SHELL: bash, zsh or fish");
            }
            process.stdout.write(writer(described(commands())));
            return Promise.resolve(0);
        },
    };
}

function described(commands: Readonly<Record<string, Command>>): Described[] {
    const helps = Object.values(commands)
        .map(({ help }) => help)
        .join("\n");
    return Object.entries(commands).map(([name, command]) => ({
        name,
        about: command.summary,
        words: WORDS[name] ?? [],
        options: [...Object.entries(command.options), ["help", { type: "boolean" }] as const].map(
            ([option, { type }]) => ({
                name: option,
                about: aboutOf(helps, option),
                takesValue: type === "string",
                values: VALUES[option] ?? [],
                isFile: option.endsWith("-file"),
            }),
        ),
    }));
}

/** What the help says of an option. */
function aboutOf(helps: string, option: string): string {
    const row = new RegExp(`^ {2}--${option}(?: \\S+)? {2,}(.*)$`, "m").exec(helps);
    return row?.[1] ?? (option === "help" ? "show what the command takes" : "");
}

function bash(commands: readonly Described[]): string {
    const values = commands.flatMap(({ name, options }) =>
        options.flatMap((option) => {
            const pattern = `        "${name} --${option.name}")`;
            if (option.values.length > 0) {
                return [`${pattern} COMPREPLY=($(compgen -W "${option.values.join(" ")}" -- "$word")); return;;`];
            }
            if (option.isFile) {
                return [`${pattern} COMPREPLY=($(compgen -f -- "$word")); return;;`];
            }
            return option.takesValue ? [`${pattern} return;;`] : [];
        }),
    );
    const words = commands.map(({ name, options, words: given }) => {
        const all = [...given, ...options.map((option) => `--${option.name}`)].join(" ");
        return `        ${name}) COMPREPLY=($(compgen -W "${all}" -- "$word"));;`;
    });
    return `# Completion of mailbearer for bash.
_mailbearer() {
    local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
    COMPREPLY=()
    if [ $COMP_CWORD -eq 1 ]; then
        COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(" ")} --help --version" -- "$word"))
        return
    fi
    case "\${COMP_WORDS[1]} $before" in
${values.join("\n")}
    esac
    case "\${COMP_WORDS[1]}" in
${words.join("\n")}
    esac
}
complete -o default -F _mailbearer mailbearer
`;
}

function zsh(commands: readonly Described[]): string {
    const cases = commands.map(({ name, options, words }) => {
        const places = options.map((option) => {
            const about = option.about.replaceAll("[", "(").replaceAll("]", ")").replaceAll(":", " ");
            const few = option.values.length > 0 ? `:value:(${option.values.join(" ")})` : ":value: ";
            const value = option.isFile ? ":file:_files" : few;
            return quoted(`--${option.name}[${about}]${option.takesValue ? value : ""}`);
        });
        const word = words.length > 0 ? `1:word:(${words.join(" ")})` : "*:user: ";
        return `        ${name}) _arguments ${[...places, quoted(word)].join(" ")};;`;
    });
    return `#compdef mailbearer
_mailbearer() {
    local -a commands=(
${commands.map(({ name, about }) => `        ${quoted(`${name}:${about}`)}`).join("\n")}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
${cases.join("\n")}
    esac
}
compdef _mailbearer mailbearer
`;
}

function fish(commands: readonly Described[]): string {
    const lines = commands.flatMap(({ name, about, options, words }) => {
        const seen = `complete -c mailbearer -n ${quoted(`__fish_seen_subcommand_from ${name}`)}`;
        return [
            `complete -c mailbearer -n __fish_use_subcommand -a ${name} -d ${quoted(about)}`,
            ...(words.length > 0 ? [`${seen} -a ${quoted(words.join(" "))}`] : []),
            ...options.map((option) => {
                const few = option.values.length > 0 ? ` -x -a ${quoted(option.values.join(" "))}` : " -x";
                const value = option.isFile ? " -r -F" : few;
                return `${seen} -l ${option.name}${option.takesValue ? value : ""} -d ${quoted(option.about)}`;
            }),
        ];
    });
    return ["# Completion of mailbearer for fish.", "complete -c mailbearer -f", ...lines, ""].join("\n");
}

function quoted(text: string): string {
    return `'${text.replaceAll("'", "'\\''")}'`;
}
