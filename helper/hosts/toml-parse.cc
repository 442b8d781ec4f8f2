// SPDX-License-Identifier: Apache-2.0
// The one file in C++: a toml++ tree becomes one for C.
#include "toml-parse.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

extern "C" {
#include "base/error.h"
#include "base/secret.h"
#include "toml-reason.h"
}

// The library, and the standard library below it, allocate through these. So all of it is wiped.
void *operator new(std::size_t size)
{
    void *memory = secret_alloc(size);

    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

void *operator new[](std::size_t size)
{
    return operator new(size);
}

// The defaults of these lead here too, but not those of a sanitizer.
void *operator new(std::size_t size, const std::nothrow_t &) noexcept
{
    return secret_alloc(size);
}

void *operator new[](std::size_t size, const std::nothrow_t &) noexcept
{
    return secret_alloc(size);
}

void operator delete(void *memory, const std::nothrow_t &) noexcept
{
    secret_release(memory);
}

void operator delete[](void *memory, const std::nothrow_t &) noexcept
{
    secret_release(memory);
}

void operator delete(void *memory) noexcept
{
    secret_release(memory);
}

void operator delete[](void *memory) noexcept
{
    secret_release(memory);
}

void operator delete(void *memory, std::size_t) noexcept
{
    secret_release(memory);
}

void operator delete[](void *memory, std::size_t) noexcept
{
    secret_release(memory);
}

namespace
{

struct nul_in_key {
    std::size_t line;
};

class converter
{
  public:
    explicit converter(const struct toml_document &document) : text_(document.text, document.length)
    {
        starts_.push_back(0);
        // A byte order mark belongs to no line, as toml++ counts.
        for (std::size_t at = text_.substr(0, 3) == "\xef\xbb\xbf" ? 3 : 0; at < text_.size();
             at++) {
            if (is_inside(at))
                continue;
            if (points_++ % STEP == 0)
                places_.push_back(at);
            if (text_[at] == '\n')
                starts_.push_back(points_);
        }
    }

    // Columns count code points from 1; the position may be one past the end.
    [[nodiscard]] std::size_t offset(const toml::source_position &position) const
    {
        if (position.line < 1 || position.line > starts_.size() || position.column < 1)
            return text_.size();
        std::size_t point = starts_[position.line - 1] + position.column - 1;
        if (point >= points_)
            return text_.size();
        if (points_ == text_.size())
            return point;
        std::size_t at = places_[point / STEP];
        for (std::size_t rest = point % STEP; rest > 0; rest--)
            while (is_inside(++at))
                ;
        return at;
    }

    struct toml_item *convert(const toml::node &node, struct toml_item *parent) const
    {
        auto *item = static_cast<struct toml_item *>(operator new(sizeof(struct toml_item)));

        *item = toml_item();
        item->parent = parent;
        item->begin = offset(node.source().begin);
        item->end = offset(node.source().end);
        item->line = node.source().begin.line;
        return item;
    }

    static char *copy(std::string_view text)
    {
        auto *bytes = static_cast<char *>(operator new(text.size() + 1));

        std::memcpy(bytes, text.data(), text.size());
        bytes[text.size()] = '\0';
        return bytes;
    }

    void fill(struct toml_item *item, const toml::node &node) const
    {
        switch (node.type()) {
        case toml::node_type::table: fill_table(item, *node.as_table()); break;
        case toml::node_type::array: fill_array(item, *node.as_array()); break;
        case toml::node_type::string:
            item->kind = TOML_STRING;
            item->string = copy(node.as_string()->get());
            item->string_length = node.as_string()->get().size();
            break;
        case toml::node_type::integer:
            item->kind = TOML_INTEGER;
            item->integer = node.as_integer()->get();
            break;
        case toml::node_type::boolean:
            item->kind = TOML_BOOLEAN;
            item->boolean = node.as_boolean()->get();
            break;
        default: item->kind = TOML_OTHER; break;
        }
    }

  private:
    static constexpr std::size_t STEP = 64;

    std::string_view text_;
    std::size_t points_ = 0;          // code points, numbered from 0
    std::vector<std::size_t> starts_; // the first of each line
    std::vector<std::size_t> places_; // where each STEPth stands

    [[nodiscard]] bool is_inside(std::size_t at) const
    {
        return at < text_.size() && (static_cast<unsigned char>(text_[at]) & 0xc0) == 0x80;
    }

    static int compare_positions(const void *left, const void *right)
    {
        const auto *a = *static_cast<const struct toml_item *const *>(left);
        const auto *b = *static_cast<const struct toml_item *const *>(right);

        if (a->begin != b->begin)
            return a->begin < b->begin ? -1 : 1;
        return std::strcmp(a->key, b->key);
    }

    // toml++ sorts by key. std::stable_sort would be 3 KiB of code for this type.
    static void link_by_position(struct toml_item *parent, std::vector<struct toml_item *> &members)
    {
        struct toml_item **end = &parent->first;

        if (!members.empty())
            std::qsort(members.data(), members.size(), sizeof(members[0]), compare_positions);
        for (auto *member : members) {
            *end = member;
            end = &member->next;
        }
        *end = nullptr;
    }

    void fill_table(struct toml_item *item, const toml::table &table) const
    {
        std::vector<struct toml_item *> members;

        item->kind = TOML_TABLE;
        item->is_inline = table.is_inline();
        members.reserve(table.size());
        for (auto &&[key, value] : table) {
            auto *member = convert(value, item);

            // Linked at once, so that it is released with its parent whatever happens after.
            member->next = item->first;
            item->first = member;
            members.push_back(member);
            if (key.str().find('\0') != std::string_view::npos)
                throw nul_in_key{ member->line };
            member->key = copy(key.str());
            fill(member, value);
            if (!is_named_by_header(*member, value, offset(key.source().begin))) {
                member->key_begin = offset(key.source().begin);
                member->key_end = offset(key.source().end);
            }
        }
        link_by_position(item, members);
        item->has_header = item->parent != nullptr && !item->is_inline &&
                           text_.substr(item->begin, 1) == "[" && !shares_header(item);
    }

    // Of tables that begin with a header, and of arrays of such tables, it names the key.
    [[nodiscard]] bool is_named_by_header(const struct toml_item &member, const toml::node &value,
                                          std::size_t key) const
    {
        if (text_.substr(member.begin, 1) != "[")
            return false;
        return value.is_table() || (value.is_array() && key > member.begin);
    }

    // The header is that of a table or array in it, be it a level or more below.
    static bool shares_header(const struct toml_item *table)
    {
        return is_header_below(table, table->begin);
    }

    static bool is_header_below(const struct toml_item *table, std::size_t begin)
    {
        for (const struct toml_item *member = table->first; member != nullptr;
             member = member->next) {
            if (member->kind != TOML_TABLE && member->kind != TOML_ARRAY)
                continue;
            if (member->begin == begin || (member->kind == TOML_TABLE && !member->is_inline &&
                                           is_header_below(member, begin)))
                return true;
        }
        return false;
    }

    void fill_array(struct toml_item *item, const toml::array &array) const
    {
        struct toml_item **end = &item->first;

        item->kind = TOML_ARRAY;
        for (const auto &value : array) {
            *end = convert(value, item);
            fill(*end, value);
            end = &(*end)->next;
        }
    }
};

// Where there are, a column may tell how long a text in them is.
bool has_quotes(const struct toml_document &document, toml::source_index line)
{
    std::string_view text(document.text, document.length);

    for (; line > 1; line--)
        text.remove_prefix(text.find('\n') + 1);
    return text.substr(0, text.find('\n')).find_first_of("\"'") != std::string_view::npos;
}

// The library quotes the text in what it says.
int refuse(const struct toml_document &document, const toml::parse_error &problem,
           struct pullkey_error *error)
{
    const struct toml_reason reason = toml_explain(problem.what());
    const toml::source_position &place = problem.source().begin;

    if (reason.has_column && !has_quotes(document, place.line))
        return error_set(error, PULLKEY_INVALID, "%s:%u: this is not TOML: %s (column %u)",
                         document.name, place.line, reason.text, place.column);
    return error_set(error, PULLKEY_INVALID, "%s:%u: this is not TOML%s%s", document.name,
                     place.line, reason.text != nullptr ? ": " : "",
                     reason.text != nullptr ? reason.text : "");
}

} // namespace

int toml_parse_text(struct toml_document *ret, struct pullkey_error *error)
{
    try {
        const toml::table table = toml::parse(std::string_view(ret->text, ret->length));
        const converter converter(*ret);

        ret->root = converter.convert(table, nullptr);
        converter.fill(ret->root, table);
        return 0;
    } catch (const toml::parse_error &problem) {
        return refuse(*ret, problem, error);
    } catch (const nul_in_key &problem) {
        return error_set(error, PULLKEY_INVALID, "%s:%zu: there is a NUL in a key", ret->name,
                         problem.line);
    } catch (const std::bad_alloc &) {
        return error_memory(error);
    } catch (...) {
        return error_set(error, PULLKEY_INTERNAL, "%s: the TOML parser failed", ret->name);
    }
}
