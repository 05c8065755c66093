// The decision rules of docs/bundle.md a second time, in plain C++ without any library: from networks' probabilities to
// masks. Nothing here is shared with sever; the tests hold both against each other, pixel by pixel.
//
//   rules PARAMETERS MAPS MASKS LEVELS     PARAMETERS is text (see read_job), MAPS float32, MASKS and LEVELS uint8
//   rules windows SIZE TILE OVERLAP MULTIPLE       prints the start and the weights of every tile of one axis
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

using Plane = std::vector<float>;
using Mask = std::vector<uint8_t>;

struct ClassRules {
    double pixel, label, seed;  // a threshold below 0 is none
    int erode, dilate;
    long min_component, min_pixels;
    double gate;
};

struct Job {
    int members, classes, height, width;
    std::vector<std::string> flips;
    std::string kind, overlap, gate_kind;
    double power, gate_factor;
    int fill_holes;
    std::vector<double> weights;
    std::vector<double> ranks;                   // members x classes x 256, or nothing
    std::vector<std::vector<float>> labels;      // what labels images: C numbers each
    std::vector<ClassRules> classes_rules;
    int pixels() const { return height * width; }
};

static Job read_job(const char* path) {
    std::ifstream in(path);
    Job job;
    size_t count;
    in >> job.members >> job.classes >> job.height >> job.width >> count;
    job.flips.resize(count);
    for (auto& flip : job.flips) in >> flip;
    in >> job.kind >> job.power >> count;
    job.weights.resize(count);
    for (auto& weight : job.weights) in >> weight;
    in >> count;
    job.ranks.resize(count);
    for (auto& rank : job.ranks) in >> rank;
    in >> count;
    job.labels.assign(count, std::vector<float>(job.classes));
    for (auto& each : job.labels)
        for (auto& value : each) { double read; in >> read; value = (float)read; }
    in >> job.overlap >> job.fill_holes >> job.gate_kind >> job.gate_factor;
    job.classes_rules.resize(job.classes);
    for (auto& each : job.classes_rules)
        in >> each.pixel >> each.label >> each.seed >> each.erode >> each.dilate >> each.min_component >>
            each.min_pixels >> each.gate;
    if (!in) { std::cerr << "the parameters end too early\n"; std::exit(2); }
    return job;
}

// ---- 3.3 flips: plain map first, then the answer to each flipped image, turned back
static Plane flip_average(const Job& job, const float* maps) {
    int planes = job.classes * job.pixels();
    Plane sum(maps, maps + planes);
    for (size_t at = 0; at < job.flips.size(); at++) {
        const float* answer = maps + (at + 1) * planes;
        bool rows = job.flips[at] != "width", columns = job.flips[at] != "height";
        for (int c = 0; c < job.classes; c++)
            for (int y = 0; y < job.height; y++)
                for (int x = 0; x < job.width; x++) {
                    int from_y = rows ? job.height - 1 - y : y, from_x = columns ? job.width - 1 - x : x;
                    sum[(c * job.height + y) * job.width + x] += answer[(c * job.height + from_y) * job.width + from_x];
                }
    }
    for (auto& value : sum) value /= (float)(job.flips.size() + 1);
    return sum;
}

static uint8_t level_of(float prob) {
    float clipped = std::min(std::max(prob, 0.0f), 1.0f);
    return (uint8_t)std::ceil(clipped * 255.0f - 0.5f);
}

static double interpolate(double x, const std::vector<double>& places, const std::vector<double>& values) {
    if (x <= places.front()) return values.front();
    if (x >= places.back()) return values.back();
    size_t at = std::upper_bound(places.begin(), places.end(), x) - places.begin() - 1;
    double slope = (values[at + 1] - values[at]) / (places[at + 1] - places[at]);
    return slope * (x - places[at]) + values[at];
}

// ---- 4 blends; float32 throughout, members in their order, those of weight 0 left out
static Plane blend(const Job& job, const std::vector<Plane>& all) {
    std::vector<double> given = job.weights.empty() ? std::vector<double>(all.size(), 1.0) : job.weights;
    double total = std::accumulate(given.begin(), given.end(), 0.0);
    std::vector<const Plane*> members;
    std::vector<double> shares;
    std::vector<size_t> kept;
    for (size_t at = 0; at < all.size(); at++)
        if (given[at] > 0) { members.push_back(&all[at]); shares.push_back(given[at] / total); kept.push_back(at); }
    size_t count = members.size();
    Plane result(all[0].size());
    auto sum = [&](size_t i, auto function) {
        float value = function((*members[0])[i]) * (float)shares[0];
        for (size_t m = 1; m < count; m++) value += function((*members[m])[i]) * (float)shares[m];
        return value;
    };
    const float half = 1.0f / 510.0f, width = 1.0f - 2.0f * half;
    // Of the rank blend: for each class the knots of the members' mean quantile function.
    std::vector<std::vector<double>> places(job.classes), values(job.classes);
    if (job.kind == "rank")
        for (int c = 0; c < job.classes; c++) {
            std::vector<double> levels(256);
            for (int l = 0; l < 256; l++) levels[l] = l / 255.0;
            for (size_t m : kept)
                for (int l = 0; l < 256; l++) places[c].push_back(job.ranks[(m * job.classes + c) * 256 + l]);
            std::sort(places[c].begin(), places[c].end());
            places[c].erase(std::unique(places[c].begin(), places[c].end()), places[c].end());
            values[c].assign(places[c].size(), 0.0);
            for (size_t k = 0; k < count; k++) {
                auto first = job.ranks.begin() + (kept[k] * job.classes + c) * 256;
                std::vector<double> own(first, first + 256);
                for (size_t p = 0; p < places[c].size(); p++)
                    values[c][p] += shares[k] * interpolate(places[c][p], own, levels);
            }
        }
    for (size_t i = 0; i < result.size(); i++) {
        if (job.kind == "mean") {
            result[i] = sum(i, [](float p) { return p; });
        } else if (job.kind == "rms") {
            result[i] = std::sqrt(sum(i, [](float p) { return p * p; }));
        } else if (job.kind == "power") {
            float bound = (*members[0])[i], power = (float)job.power;
            for (auto* member : members) bound = power > 0 ? std::max(bound, (*member)[i]) : std::min(bound, (*member)[i]);
            float divisor = bound > 0 ? bound : 1.0f;
            float mean = sum(i, [&](float p) { return std::pow(p / divisor, power); });
            result[i] = bound * std::pow(bound > 0 ? mean : 1.0f, 1.0f / power);
        } else if (job.kind == "geometric") {
            float logit = sum(i, [&](float p) {
                return std::log(p * width + half) - std::log((1.0f - p) * width + half);
            });
            float squeezed = 1.0f / (1.0f + std::exp(-logit));
            result[i] = std::min(std::max((squeezed - half) / width, 0.0f), 1.0f);
        } else if (job.kind == "median") {
            float lower = INFINITY, upper = -INFINITY;
            for (auto* member : members) {
                float value = (*member)[i], below = 0, above = 0;
                for (size_t m = 0; m < count; m++) {
                    if ((*members[m])[i] <= value) below += (float)shares[m];
                    if ((*members[m])[i] >= value) above += (float)shares[m];
                }
                if (below >= 0.5 - 1e-6) lower = std::min(lower, value);
                if (above >= 0.5 - 1e-6) upper = std::max(upper, value);
            }
            result[i] = (lower + upper) / 2;
        } else if (job.kind == "maximum") {
            result[i] = (*members[0])[i];
            for (auto* member : members) result[i] = std::max(result[i], (*member)[i]);
        } else if (job.kind == "vote") {
            double votes = 0;
            for (size_t m = 0; m < count; m++) if ((*members[m])[i] > 0.5f) votes += shares[m];
            result[i] = (float)votes;
        } else if (job.kind == "rank") {
            int c = (int)(i / job.pixels());
            double rank = 0;
            for (size_t k = 0; k < count; k++)
                rank += job.ranks[(kept[k] * job.classes + c) * 256 + level_of((*members[k])[i])] * shares[k];
            result[i] = (float)interpolate(rank, places[c], values[c]);
        } else { std::cerr << "unknown blend " << job.kind << "\n"; std::exit(2); }
    }
    return result;
}

// ---- 6 components: pixels that touch by a side or a corner
struct Components {
    std::vector<int> number;      // of every pixel; 0 where the mask is clean
    std::vector<long> size{0};
    Components(const Mask& mask, int height, int width) : number(mask.size(), 0) {
        std::vector<int> waiting;
        for (int start = 0; start < (int)mask.size(); start++) {
            if (!mask[start] || number[start]) continue;
            int own = (int)size.size();
            size.push_back(0);
            waiting.push_back(start);
            number[start] = own;
            while (!waiting.empty()) {
                int at = waiting.back();
                waiting.pop_back();
                size[own]++;
                for (int dy = -1; dy <= 1; dy++)
                    for (int dx = -1; dx <= 1; dx++) {
                        int y = at / width + dy, x = at % width + dx;
                        if (y < 0 || x < 0 || y >= height || x >= width) continue;
                        int next = y * width + x;
                        if (mask[next] && !number[next]) { number[next] = own; waiting.push_back(next); }
                    }
            }
        }
    }
};

static void fill_holes(Mask& mask, int height, int width) {
    std::vector<uint8_t> outside(mask.size(), 0);
    std::vector<int> waiting;
    auto reach = [&](int y, int x) {
        if (y < 0 || x < 0 || y >= height || x >= width) return;
        int at = y * width + x;
        if (!mask[at] && !outside[at]) { outside[at] = 1; waiting.push_back(at); }
    };
    for (int x = 0; x < width; x++) { reach(0, x); reach(height - 1, x); }
    for (int y = 0; y < height; y++) { reach(y, 0); reach(y, width - 1); }
    while (!waiting.empty()) {
        int at = waiting.back(), y = at / width, x = at % width;
        waiting.pop_back();
        reach(y - 1, x); reach(y + 1, x); reach(y, x - 1); reach(y, x + 1);
    }
    for (size_t at = 0; at < mask.size(); at++) if (!outside[at]) mask[at] = 1;
}

// Pixels beyond the image count as mask when it shrinks, and as clean when it grows.
static Mask by_disc(const Mask& mask, int height, int width, int radius, bool grow) {
    Mask result(mask.size());
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            bool hit = false;
            for (int dy = -radius; dy <= radius; dy++)
                for (int dx = -radius; dx <= radius; dx++) {
                    if (dy * dy + dx * dx > radius * radius) continue;
                    int ny = y + dy, nx = x + dx;
                    if (ny < 0 || nx < 0 || ny >= height || nx >= width) continue;
                    hit |= (mask[ny * width + nx] != 0) == grow;
                }
            result[y * width + x] = grow ? hit : !hit;
        }
    return result;
}

static void solve_overlaps(const Job& job, std::vector<Mask>& masks, const std::vector<Plane>& probs) {
    int pixels = job.pixels();
    if (job.overlap == "allow") return;
    std::vector<Components> parts;
    for (auto& mask : masks) parts.emplace_back(mask, job.height, job.width);
    if (job.overlap == "component_domination") {
        struct One { int layer, number; long size; };
        std::vector<One> order;
        for (int c = 0; c < job.classes; c++)
            for (size_t n = 1; n < parts[c].size.size(); n++) order.push_back({c, (int)n, parts[c].size[n]});
        std::stable_sort(order.begin(), order.end(), [](const One& a, const One& b) { return a.size > b.size; });
        std::vector<std::vector<uint8_t>> gone(job.classes), done(job.classes);
        for (int c = 0; c < job.classes; c++) {
            gone[c].assign(parts[c].size.size(), 0);
            done[c].assign(parts[c].size.size(), 0);
        }
        for (auto& one : order) {
            done[one.layer][one.number] = 1;
            if (gone[one.layer][one.number]) continue;
            for (int at = 0; at < pixels; at++)
                if (parts[one.layer].number[at] == one.number)
                    for (int c = 0; c < job.classes; c++) {
                        int other = parts[c].number[at];
                        if (c != one.layer && other && !done[c][other]) gone[c][other] = 1;
                    }
        }
        for (int c = 0; c < job.classes; c++)
            for (int at = 0; at < pixels; at++) if (gone[c][parts[c].number[at]]) masks[c][at] = 0;
        return;
    }
    for (int at = 0; at < pixels; at++) {
        int winner = -1;
        double best = -1;
        for (int c = 0; c < job.classes; c++) {
            if (!masks[c][at]) continue;
            double measure = job.overlap == "larger_component" ? (double)parts[c].size[parts[c].number[at]] : probs[c][at];
            if (measure > best) { best = measure; winner = c; }
        }
        for (int c = 0; c < job.classes; c++) if (c != winner) masks[c][at] = 0;
    }
}

static std::vector<Mask> decide(const Job& job, const std::vector<uint8_t>& levels, const std::vector<float>& gate) {
    int pixels = job.pixels();
    std::vector<Mask> masks(job.classes, Mask(pixels, 0));
    std::vector<Plane> probs(job.classes, Plane(pixels));
    std::vector<double> least(job.classes);
    for (int c = 0; c < job.classes; c++) {
        const ClassRules& rules = job.classes_rules[c];
        float scale = job.gate_kind == "multiply" ? gate[c] : 1.0f;
        bool open = job.gate_kind != "veto" || gate[c] >= (float)rules.gate;
        least[c] = (double)rules.min_pixels;
        if (job.gate_kind == "soft") least[c] *= 1 + (job.gate_factor - 1) * (1 - (double)gate[c]);
        float highest = 0;
        for (int at = 0; at < pixels; at++) {
            probs[c][at] = (float)levels[c * pixels + at] / 255.0f * scale;
            highest = std::max(highest, probs[c][at]);
        }
        if (!open || (rules.label >= 0 && !(highest > (float)rules.label))) continue;
        for (int at = 0; at < pixels; at++) masks[c][at] = probs[c][at] > (float)rules.pixel;
        if (rules.seed >= 0) {
            Components parts(masks[c], job.height, job.width);
            std::vector<uint8_t> held(parts.size.size(), 0);
            for (int at = 0; at < pixels; at++) if (probs[c][at] > (float)rules.seed) held[parts.number[at]] = 1;
            for (int at = 0; at < pixels; at++) if (!held[parts.number[at]]) masks[c][at] = 0;
        }
        if (job.fill_holes) fill_holes(masks[c], job.height, job.width);
        if (rules.erode) masks[c] = by_disc(masks[c], job.height, job.width, rules.erode, false);
        if (rules.dilate) masks[c] = by_disc(masks[c], job.height, job.width, rules.dilate, true);
    }
    solve_overlaps(job, masks, probs);
    for (int c = 0; c < job.classes; c++) {
        Components parts(masks[c], job.height, job.width);
        long left = 0;
        for (int at = 0; at < pixels; at++) {
            if (masks[c][at] && parts.size[parts.number[at]] < job.classes_rules[c].min_component) masks[c][at] = 0;
            left += masks[c][at];
        }
        if ((double)left < least[c]) std::fill(masks[c].begin(), masks[c].end(), 0);
    }
    return masks;
}

// ---- 3.2 tiles of one axis
static int windows(long size, long tile, long overlap, long multiple) {
    auto up = [](long a, long b) { return (a + b - 1) / b; };
    if (size <= std::max(tile, multiple)) {
        printf("0");
        for (long at = 0; at < size; at++) printf(" 1");
        printf("\n");
        return 0;
    }
    long cells = up(size, multiple), most = std::max(tile / multiple, 1L), share = std::min(up(overlap, multiple), most - 1);
    long count = up(cells - share, most - share), length = up(cells + (count - 1) * share, count);
    std::vector<long> starts(count, 0);
    for (long at = 1; at < count; at++) {
        double step = (double)(cells - length) / (double)(count - 1);
        starts[at] = at == count - 1 ? cells - length : (long)std::nearbyint(at * step);
    }
    for (auto& start : starts) start *= multiple;
    length *= multiple;
    long shared = 0;
    for (long at = 1; at < count; at++) shared = std::max(shared, starts[at - 1] + length - starts[at]);
    std::vector<double> total(starts.back() + length, 0.0);
    auto ramp = [&](long tile_at, long x) {
        double rise = std::min((x + 0.5) / std::max(shared, 1L), 1.0);
        double fall = std::min((length - 1 - x + 0.5) / std::max(shared, 1L), 1.0);
        return (tile_at ? rise : 1.0) * (tile_at != count - 1 ? fall : 1.0);
    };
    for (long at = 0; at < count; at++) for (long x = 0; x < length; x++) total[starts[at] + x] += ramp(at, x);
    for (long at = 0; at < count; at++) {
        printf("%ld", starts[at]);
        for (long x = 0; x < length && starts[at] + x < size; x++)
            printf(" %.9g", (float)(ramp(at, x) / total[starts[at] + x]));
        printf("\n");
    }
    return 0;
}

int main(int count, char** words) {
    if (count == 6 && std::string(words[1]) == "windows")
        return windows(std::stol(words[2]), std::stol(words[3]), std::stol(words[4]), std::stol(words[5]));
    if (count != 5) { std::cerr << "rules PARAMETERS MAPS MASKS LEVELS\n"; return 2; }
    Job job = read_job(words[1]);
    int planes = job.classes * job.pixels();
    std::vector<float> maps((size_t)job.members * (job.flips.size() + 1) * planes);
    std::ifstream in(words[2], std::ios::binary);
    in.read((char*)maps.data(), (std::streamsize)(maps.size() * sizeof(float)));
    if (!in) { std::cerr << "the maps end too early\n"; return 2; }
    std::vector<Plane> members;
    for (int m = 0; m < job.members; m++)
        members.push_back(flip_average(job, maps.data() + (size_t)m * (job.flips.size() + 1) * planes));
    Plane blended = job.members > 1 ? blend(job, members) : members[0];
    std::vector<uint8_t> levels(blended.size());
    for (size_t at = 0; at < levels.size(); at++) levels[at] = level_of(blended[at]);
    std::vector<float> gate(job.classes, 0.0f);
    for (int c = 0; c < job.classes && !job.labels.empty(); c++) {
        for (auto& each : job.labels) gate[c] += each[c];
        gate[c] /= (float)job.labels.size();
    }
    std::ofstream out(words[3], std::ios::binary), stored(words[4], std::ios::binary);
    for (auto& mask : decide(job, levels, gate)) out.write((const char*)mask.data(), (std::streamsize)mask.size());
    stored.write((const char*)levels.data(), (std::streamsize)levels.size());
    return 0;
}
