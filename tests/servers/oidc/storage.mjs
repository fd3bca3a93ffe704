/** What the authorization server remembers, in memory. The library's own store forgets after a thousand entries. */

const entries = new Map();
const idsByUid = new Map();
const idsByUserCode = new Map();

/** The adapter that oidc-provider asks for: one for each of its models. */
export class Storage {
    constructor(model) {
        this.model = model;
    }

    key(id) {
        return `${this.model} ${id}`;
    }

    async upsert(id, payload, expiresIn) {
        const expiresAt = expiresIn ? Date.now() + expiresIn * 1000 : Infinity;
        entries.set(this.key(id), { payload, expiresAt });
        if (payload.uid) idsByUid.set(payload.uid, id);
        if (payload.userCode) idsByUserCode.set(payload.userCode, id);
    }

    async find(id) {
        const entry = entries.get(this.key(id));
        return entry && entry.expiresAt > Date.now() ? entry.payload : undefined;
    }

    async findByUid(uid) {
        return this.find(idsByUid.get(uid));
    }

    async findByUserCode(userCode) {
        return this.find(idsByUserCode.get(userCode));
    }

    async consume(id) {
        const payload = await this.find(id);
        if (payload) payload.consumed = Math.floor(Date.now() / 1000);
    }

    async destroy(id) {
        entries.delete(this.key(id));
    }

    async revokeByGrantId(grantId) {
        for (const [key, { payload }] of entries) {
            if (payload.grantId === grantId) entries.delete(key);
        }
    }
}

/** The grants of a user: what a user takes back in the settings of the account. */
export function grantsOf(user) {
    const grants = [...entries].filter(([key, { payload }]) => key.startsWith("Grant ") && payload.accountId === user);
    return grants.map(([key]) => key.slice("Grant ".length));
}
