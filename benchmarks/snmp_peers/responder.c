/* A fast SNMP agent for benchmarks: answers v2c and v3 GETs on one port for all addresses of this host.
 *
 * Every device is an address (127.x.y.z); its counters move. It is made to be no bottleneck: recvmmsg, sendmmsg, no
 * allocation. It does not check digests of requests: it measures pollers, it does not guard anything.
 * Usage: responder PORT DELAY_MS LOSS_PER_MILLE BLACK_HOLE_PER_CENT SPEED ALIKE
 * SPEED: how much faster than real time the counters move. ALIKE: 1 gives all devices the same counters, 0 each its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, SIZE = 8192, RING = 32768, HELD = 2048, VARBINDS = 256 };

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

static uint64_t fnv(uint64_t h, const uint8_t *p, int n) { while (n--) h = (h ^ *p++) * 1099511628211ull; return h; }

/* Messages are written backwards: what is inside comes first, so that each length is known. */
struct out { uint8_t *at; };
static void put(struct out *o, const void *p, int n) { o->at -= n; memcpy(o->at, p, n); }
static void byte(struct out *o, uint8_t b) { *--o->at = b; }
static void head(struct out *o, uint8_t tag, const uint8_t *end) {
    int n = end - o->at;
    if (n < 128) byte(o, n);
    else if (n < 256) { byte(o, n); byte(o, 0x81); }
    else { byte(o, n & 255); byte(o, n >> 8); byte(o, 0x82); }
    byte(o, tag);
}
static void number(struct out *o, uint8_t tag, uint64_t v) {
    const uint8_t *end = o->at;
    do { byte(o, v & 255); v >>= 8; } while (v);
    if (*o->at & 0x80) byte(o, 0);
    head(o, tag, end);
}

struct in { const uint8_t *p, *end; };
static int enter(struct in *i, uint8_t *tag, struct in *inside) {
    if (i->end - i->p < 2) return 0;
    *tag = i->p[0];
    int n = i->p[1], extra = 0;
    if (n & 0x80) { extra = n & 0x7f; n = 0; for (int k = 0; k < extra; k++) n = n << 8 | i->p[2 + k]; }
    inside->p = i->p + 2 + extra;
    if (n < 0 || i->end - inside->p < n) return 0;
    inside->end = inside->p + n;
    i->p = inside->end;
    return 1;
}
static uint64_t value_of(struct in v) { uint64_t n = 0; while (v.p < v.end) n = n << 8 | *v.p++; return n; }

static double began, speed;
static int alike;
static const uint8_t UPTIME[] = {0x2b, 6, 1, 2, 1, 1, 3, 0};

/* Writes the response PDU for a request PDU. */
static int answer_pdu(struct out *o, struct in pdu, uint32_t address) {
    uint8_t tag;
    struct in id, status, index, list, names[VARBINDS];
    int count = 0;
    if (!enter(&pdu, &tag, &id) || !enter(&pdu, &tag, &status) || !enter(&pdu, &tag, &index) || !enter(&pdu, &tag, &list)) return 0;
    while (list.p < list.end && count < VARBINDS) {
        struct in row;
        if (!enter(&list, &tag, &row) || !enter(&row, &tag, &names[count])) return 0;
        count++;
    }
    const uint8_t *end = o->at;
    double elapsed = (now() - began) * speed;
    if (alike) address = 0;
    uint64_t seed = fnv(14695981039346656037ull, (uint8_t *)&address, 4);
    /* Up for an hour to 60 days before we began. */
    double up_for = 3600 + (seed >> 20) % (60 * 86400);
    for (int k = count - 1; k >= 0; k--) {
        const uint8_t *row_end = o->at;
        int n = names[k].end - names[k].p;
        if (n == sizeof UPTIME && !memcmp(names[k].p, UPTIME, n))
            number(o, 0x43, (uint32_t)((up_for + elapsed) * 100));
        else {
            uint64_t h = fnv(seed, names[k].p, n);
            h ^= h >> 29;
            /* From 10 to 100 million a second, each power of ten as often as the next. */
            double rate = 10;
            for (unsigned power = h % 7; power; power--) rate *= 10;
            number(o, 0x46, (uint64_t)((0.1 + (h >> 44) / 1048576.0) * rate * (up_for + elapsed)));
        }
        const uint8_t *oid_end = o->at;
        put(o, names[k].p, n);
        head(o, 6, oid_end);
        head(o, 0x30, row_end);
    }
    head(o, 0x30, end);
    number(o, 2, 0);
    number(o, 2, 0);
    const uint8_t *id_end = o->at;
    put(o, id.p, id.end - id.p);
    head(o, 2, id_end);
    head(o, 0xa2, end);
    return 1;
}

struct user { const char *name; const EVP_MD *hash; int digest, key; uint8_t ku[64]; };
static struct user users[2];

static void make_user(struct user *u, const char *name, const EVP_MD *hash, int digest, const char *password) {
    u->name = name; u->hash = hash; u->digest = digest; u->key = EVP_MD_get_size(hash);
    int n = strlen(password);
    uint8_t *text = malloc(1 << 20);
    for (int k = 0; k < 1 << 20; k++) text[k] = password[k % n];
    EVP_Digest(text, 1 << 20, u->ku, NULL, hash, NULL);
    free(text);
}

static void localize(const struct user *u, const uint8_t *engine, int n, uint8_t *key) {
    uint8_t text[256];
    memcpy(text, u->ku, u->key); memcpy(text + u->key, engine, n); memcpy(text + u->key + n, u->ku, u->key);
    EVP_Digest(text, 2 * u->key + n, key, NULL, u->hash, NULL);
}

static void crypt_aes(int encrypt, const uint8_t *key, uint32_t boots, uint32_t time_, const uint8_t *salt, uint8_t *text, int n) {
    static EVP_CIPHER_CTX *context;
    if (!context) context = EVP_CIPHER_CTX_new();
    uint8_t iv[16] = {boots >> 24, boots >> 16, boots >> 8, boots, time_ >> 24, time_ >> 16, time_ >> 8, time_};
    memcpy(iv + 8, salt, 8);
    int done;
    EVP_CipherInit_ex(context, EVP_aes_128_cfb128(), NULL, key, iv, encrypt);
    EVP_CipherUpdate(context, text, &done, text, n);
}

static int report(struct out *o, uint8_t counter, uint64_t request_id) {
    const uint8_t *end = o->at;
    uint8_t oid[] = {0x2b, 6, 1, 6, 3, 15, 1, 1, counter, 0};
    number(o, 0x41, 1);
    const uint8_t *oid_end = o->at;
    put(o, oid, sizeof oid);
    head(o, 6, oid_end); head(o, 0x30, end); head(o, 0x30, end);
    number(o, 2, 0); number(o, 2, 0); number(o, 2, request_id);
    head(o, 0xa8, end);
    return 1;
}

/* The message in m is modified: its cipher text is decrypted in place. */
static int answer_v3(struct out *o, struct in m, uint32_t address) {
    uint8_t tag, engine[9] = {0x80, 0, 0, 0, 1};
    memcpy(engine + 5, &address, 4);
    struct in global, id, size, flags, model, octets, security, eid, boots, time_, name, digest, salt, scoped, inner;
    if (!enter(&m, &tag, &global) || !enter(&global, &tag, &id) || !enter(&global, &tag, &size) || !enter(&global, &tag, &flags) || !enter(&global, &tag, &model)) return 0;
    if (!enter(&m, &tag, &octets) || !enter(&octets, &tag, &security)) return 0;
    if (!enter(&security, &tag, &eid) || !enter(&security, &tag, &boots) || !enter(&security, &tag, &time_) || !enter(&security, &tag, &name) || !enter(&security, &tag, &digest) || !enter(&security, &tag, &salt)) return 0;
    if (!enter(&m, &tag, &scoped)) return 0;
    const uint8_t *end = o->at;
    const struct user *u = NULL;
    int secret = 0, with_flags = 0;
    uint8_t auth[64], priv[64], new_salt[8];
    uint32_t my_time = (uint32_t)(now() - began) + 1000;
    if (eid.end - eid.p == 0) report(o, 4, 0);
    else {
        for (int k = 0; k < 2; k++) if ((int)strlen(users[k].name) == name.end - name.p && !memcmp(users[k].name, name.p, name.end - name.p)) u = &users[k];
        if (!u) return 0;
        localize(u, engine, 9, auth); memcpy(priv, auth, 64);
        with_flags = 1;
        if (value_of(boots) != 1) report(o, 2, 0);
        else {
            secret = 1; with_flags = 3;
            crypt_aes(0, priv, value_of(boots), value_of(time_), salt.p, (uint8_t *)scoped.p, scoped.end - scoped.p);
            struct in whole = scoped, context;
            if (!enter(&whole, &tag, &inner) || !enter(&inner, &tag, &context) || !enter(&inner, &tag, &context) || !enter(&inner, &tag, &whole)) return 0;
            if (!answer_pdu(o, whole, address)) return 0;
        }
    }
    head(o, 4, o->at);
    const uint8_t *engine_end = o->at;
    put(o, engine, 9); head(o, 4, engine_end); head(o, 0x30, end);
    if (secret) {
        static uint64_t counter;
        counter++;
        memcpy(new_salt, &counter, 8);
        crypt_aes(1, priv, 1, my_time, new_salt, o->at, end - o->at);
        head(o, 4, end);
    }
    const uint8_t *security_end = o->at;
    if (secret) put(o, new_salt, 8);
    head(o, 4, security_end);
    uint8_t *digest_at = NULL;
    const uint8_t *digest_end = o->at;
    if (u) { uint8_t zero[64] = {0}; put(o, zero, u->digest); digest_at = o->at; }
    head(o, 4, digest_end);
    const uint8_t *name_end = o->at;
    if (u) put(o, name.p, name.end - name.p);
    head(o, 4, name_end);
    number(o, 2, my_time); number(o, 2, 1);
    engine_end = o->at;
    put(o, engine, 9); head(o, 4, engine_end);
    head(o, 0x30, security_end); head(o, 4, security_end);
    const uint8_t *global_end = o->at;
    number(o, 2, 3);
    byte(o, with_flags); byte(o, 1); byte(o, 4);
    number(o, 2, 65507);
    const uint8_t *id_end = o->at;
    put(o, id.p, id.end - id.p); head(o, 2, id_end);
    head(o, 0x30, global_end);
    number(o, 2, 3);
    head(o, 0x30, end);
    if (u) {
        uint8_t mac[64];
        HMAC(u->hash, auth, u->key, o->at, end - o->at, mac, NULL);
        memcpy(digest_at, mac, u->digest);
    }
    return 1;
}

static int answer(struct out *o, uint8_t *text, int n, uint32_t address) {
    struct in message = {text, text + n}, m, version, community, pdu;
    uint8_t tag;
    const uint8_t *end = o->at;
    if (!enter(&message, &tag, &m) || !enter(&m, &tag, &version)) return 0;
    if (value_of(version) == 3) return answer_v3(o, m, address);
    if (!enter(&m, &tag, &community) || !enter(&m, &tag, &pdu) || !answer_pdu(o, pdu, address)) return 0;
    const uint8_t *community_end = o->at;
    put(o, community.p, community.end - community.p);
    head(o, 4, community_end);
    number(o, 2, value_of(version));
    head(o, 0x30, end);
    return 1;
}

struct held { double due; struct sockaddr_in to; struct in_addr from; int size; uint8_t text[HELD]; };

static int send_one(int fd, const uint8_t *text, int n, struct sockaddr_in *to, struct in_addr from) {
    char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
    struct iovec part = {(void *)text, n};
    struct msghdr h = {.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = IPPROTO_IP; c->cmsg_type = IP_PKTINFO; c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    ((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst = from;
    return sendmsg(fd, &h, 0);
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    double delay = atof(argv[2]) / 1000;
    int loss = atoi(argv[3]), holes = atoi(argv[4]), one = 1, buffer = 32 << 20;
    speed = atof(argv[5]);
    alike = atoi(argv[6]);
    began = now();
    make_user(&users[0], "bench-sha1", EVP_sha1(), 12, "authentic-words");
    make_user(&users[1], "bench-sha256", EVP_sha256(), 24, "authentic-words");
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&me, sizeof me)) { perror("bind"); return 1; }
    socklen_t length = sizeof me;
    getsockname(fd, (struct sockaddr *)&me, &length);
    printf("%d\n", ntohs(me.sin_port));
    fflush(stdout);
    static uint8_t texts[BATCH][SIZE], reply[SIZE];
    static char controls[BATCH][256];
    static struct mmsghdr heads[BATCH];
    static struct iovec parts[BATCH];
    static struct sockaddr_in from[BATCH];
    struct held *ring = delay > 0 ? calloc(RING, sizeof *ring) : NULL;
    unsigned first = 0, last = 0;
    uint64_t dice = 88172645463325252ull;
    for (;;) {
        while (first != last && ring[first % RING].due <= now()) {
            struct held *h = &ring[first++ % RING];
            send_one(fd, h->text, h->size, &h->to, h->from);
        }
        if (ring) {
            struct pollfd p = {fd, POLLIN, 0};
            struct timespec wait = {1, 0};
            if (first != last) {
                double left = ring[first % RING].due - now();
                wait.tv_sec = 0; wait.tv_nsec = left > 0 ? (long)(left * 1e9) : 0;
            }
            if (ppoll(&p, 1, &wait, NULL) <= 0) continue;
        }
        for (int k = 0; k < BATCH; k++) {
            parts[k] = (struct iovec){texts[k], SIZE};
            heads[k].msg_hdr = (struct msghdr){.msg_name = &from[k], .msg_namelen = sizeof from[k], .msg_iov = &parts[k], .msg_iovlen = 1, .msg_control = controls[k], .msg_controllen = sizeof controls[k]};
        }
        int n = recvmmsg(fd, heads, BATCH, MSG_WAITFORONE, NULL);
        for (int k = 0; k < n; k++) {
            struct in_addr to = {0};
            for (struct cmsghdr *c = CMSG_FIRSTHDR(&heads[k].msg_hdr); c; c = CMSG_NXTHDR(&heads[k].msg_hdr, c))
                if (c->cmsg_type == IP_PKTINFO) to = ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr;
            dice ^= dice << 13; dice ^= dice >> 7; dice ^= dice << 17;
            if ((int)(dice % 1000) < loss || (int)(ntohl(to.s_addr) % 100) < holes) continue;
            struct out o = {reply + SIZE};
            if (!answer(&o, texts[k], heads[k].msg_len, to.s_addr)) continue;
            int size = reply + SIZE - o.at;
            if (!ring) { send_one(fd, o.at, size, &from[k], to); continue; }
            if (last - first == RING || size > HELD) continue;
            struct held *h = &ring[last++ % RING];
            h->due = now() + delay; h->to = from[k]; h->from = to; h->size = size;
            memcpy(h->text, o.at, size);
        }
    }
}
