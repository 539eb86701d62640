/* The limit: sends the same GETs as the pollers, receives and decodes every value, checks every OID, and nothing else.
 *
 * Usage: limit PORT DEVICES INTERFACES COUNTERS ROUNDS; prints CPU seconds (user + system) of each round.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { BATCH = 64, SIZE = 2048, PER_PDU = 6, WINDOW = 1000 };

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static uint8_t *head(uint8_t *at, const uint8_t *end, uint8_t tag) {
    int n = end - at;
    if (n < 128) *--at = n;
    else if (n < 256) { *--at = n; *--at = 0x81; }
    else { *--at = n & 255; *--at = n >> 8; *--at = 0x82; }
    *--at = tag;
    return at;
}

static uint8_t *row(uint8_t *at, const uint8_t *oid, int n) {
    const uint8_t *end = at;
    *--at = 0; *--at = 5;
    at -= n; memcpy(at, oid, n);
    *--at = n; *--at = 6;
    return head(at, end, 0x30);
}

struct request { uint8_t text[SIZE]; int size, id_at; };

static void make(struct request *r, int pdu, int interfaces, int counters) {
    uint8_t buffer[SIZE], *end = buffer + SIZE, *at = end;
    uint8_t uptime[] = {0x2b, 6, 1, 2, 1, 1, 3, 0}, oid[] = {0x2b, 6, 1, 2, 1, 31, 1, 1, 1, 0, 0};
    int stop = (pdu + 1) * PER_PDU < interfaces ? (pdu + 1) * PER_PDU : interfaces;
    for (int i = stop; i > pdu * PER_PDU; i--)
        for (int c = counters - 1; c >= 0; c--) { oid[9] = 6 + c; oid[10] = i; at = row(at, oid, sizeof oid); }
    at = row(at, uptime, sizeof uptime);
    at = head(at, end, 0x30);
    uint8_t status[] = {2, 1, 0, 2, 1, 0};
    at -= 6; memcpy(at, status, 6);
    at -= 4; int id_from_end = end - at;
    *--at = 4; *--at = 2;
    at = head(at, end, 0xa0);
    at -= 6; memcpy(at, "public", 6);
    *--at = 6; *--at = 4; *--at = 1; *--at = 1; *--at = 2;
    at = head(at, end, 0x30);
    r->size = end - at; r->id_at = r->size - id_from_end;
    memcpy(r->text, at, r->size);
}

static const uint8_t *enter(const uint8_t *at, int *n) {
    *n = at[1];
    if (*n < 128) return at + 2;
    int extra = *n & 127; *n = 0;
    for (int k = 0; k < extra; k++) *n = *n << 8 | at[2 + k];
    return at + 2 + extra;
}

static uint64_t total;

static int decode(const uint8_t *reply, const struct request *asked) {
    int n, m;
    const uint8_t *at = enter(reply, &n), *end = at + n, *ask = asked->text + asked->id_at + 4 + 6;
    at += 3; at = enter(at, &n) + n; at = enter(at, &n); at += 6 + 6; at = enter(at, &n); ask = enter(ask, &m);
    int count = 0;
    while (at < end) {
        at = enter(at, &n); ask = enter(ask, &m);
        int name = ask[1] + 2;
        if (memcmp(at, ask, name)) return -1;
        at += name; ask += name + 2;
        uint64_t value = 0;
        at = enter(at, &n);
        for (int k = 0; k < n; k++) value = value << 8 | *at++;
        total += value; count++;
    }
    return count;
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int port = atoi(argv[1]), devices = atoi(argv[2]), interfaces = atoi(argv[3]), counters = atoi(argv[4]), rounds = atoi(argv[5]);
    int pdus = (interfaces + PER_PDU - 1) / PER_PDU, buffer = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    struct request *requests = calloc(pdus, sizeof *requests);
    for (int p = 0; p < pdus; p++) make(&requests[p], p, interfaces, counters);
    static uint8_t texts[BATCH][SIZE];
    static struct mmsghdr heads[BATCH];
    static struct iovec parts[BATCH];
    static struct sockaddr_in addresses[BATCH];
    for (int k = 0; k < BATCH; k++) {
        parts[k].iov_base = texts[k];
        heads[k].msg_hdr = (struct msghdr){.msg_name = &addresses[k], .msg_namelen = sizeof addresses[k], .msg_iov = &parts[k], .msg_iovlen = 1};
    }
    for (int round = 0; round < rounds; round++) {
        double before = cpu();
        long values = 0;
        for (int p = 0; p < pdus; p++) {
            int sent = 0, got = 0;
            while (got < devices) {
                int batch = 0;
                while (batch < BATCH && sent + batch < devices && sent + batch - got < WINDOW) {
                    int device = sent + batch;
                    memcpy(texts[batch], requests[p].text, requests[p].size);
                    uint32_t id = htonl(0x01000000 + p);
                    memcpy(texts[batch] + requests[p].id_at, &id, 4);
                    parts[batch].iov_len = requests[p].size;
                    addresses[batch] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f100001 + device)};
                    batch++;
                }
                if (batch) { int n = sendmmsg(fd, heads, batch, 0); if (n > 0) sent += n; }
                for (int k = 0; k < BATCH; k++) parts[k].iov_len = SIZE;
                int n = recvmmsg(fd, heads, BATCH, sent - got >= WINDOW || sent == devices ? MSG_WAITFORONE : MSG_DONTWAIT, NULL);
                for (int k = 0; k < n; k++) {
                    int count = decode(texts[k], &requests[p]);
                    if (count < 0) return 1;
                    values += count; got++;
                }
            }
        }
        printf("%.6f %ld\n", cpu() - before, values);
    }
    return total == 1;
}
