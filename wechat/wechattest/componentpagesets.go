package wechattest

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// PermissionSet is a group of interfaces (权限集) that an administrator grants to
// a third-party platform, by its number in func_info.
type PermissionSet struct {
	ID   int
	Name string
	Kind AppKind // ServiceAccount or MiniProgram
}

// PermissionSets are those that the authorization page offers, by number.
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/product/offical_account_authority.html
func PermissionSets() []PermissionSet {
	return []PermissionSet{
		{1, "消息管理 messages", ServiceAccount},
		{2, "用户管理 followers", ServiceAccount},
		{3, "帐号服务 account", ServiceAccount},
		{4, "网页服务 web pages", ServiceAccount},
		{6, "多客服 customer service", ServiceAccount},
		{7, "群发与通知 notifications", ServiceAccount},
		{11, "素材管理 media", ServiceAccount},
		{15, "自定义菜单 menu", ServiceAccount},
		{17, "帐号管理 account", MiniProgram},
		{18, "开发管理与数据分析 development", MiniProgram},
		{19, "客服消息管理 customer messages", MiniProgram},
		{24, "开放平台帐号管理 open-platform account", ServiceAccount},
		{25, "开放平台帐号管理 open-platform account", MiniProgram},
		{27, "快速注册小程序 registration", ServiceAccount},
		{30, "小程序基本信息设置 settings", MiniProgram},
		{31, "小程序认证 verification", MiniProgram},
	}
}

// setsFor are the sets that an account of a kind can grant, and if wanted is not
// empty only those of them that are in it. Numbers that are not known here may be
// of any kind.
func setsFor(kind AppKind, wanted []int) []PermissionSet {
	all := PermissionSets()
	of := slices.DeleteFunc(slices.Clone(all), func(p PermissionSet) bool {
		return p.Kind != kind || len(wanted) > 0 && !slices.Contains(wanted, p.ID)
	})
	for _, id := range wanted {
		if !slices.ContainsFunc(all, func(p PermissionSet) bool { return p.ID == id }) {
			of = append(of, PermissionSet{ID: id, Name: "权限集", Kind: kind})
		}
	}
	return of
}

// chosenSets are the chosen ones of those that an account can grant; nil chooses
// all.
func chosenSets(kind AppKind, wanted, chosen []int) (ids []int, err error) {
	for _, set := range setsFor(kind, wanted) {
		if chosen == nil || slices.Contains(chosen, set.ID) {
			ids = append(ids, set.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no permission set is chosen that this account has")
	}
	return ids, nil
}

// readSets reads numbers with something between them: the bars of a
// category_id_list, the commas of a form's field.
func readSets(texts ...string) (ids []int, ok bool) {
	for _, text := range texts {
		for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("|, ", r) }) {
			id, err := strconv.Atoi(part)
			if err != nil || id < 1 {
				return nil, false
			}
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), true
}

// formSets reads the ticked boxes: nil where the form has none of them, not even
// the empty field that tells of a page on which everything was unticked.
func formSets(r *http.Request) ([]int, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	if !r.PostForm.Has("functions") {
		return nil, nil
	}
	ids, ok := readSets(r.PostForm["functions"]...)
	if !ok {
		return nil, errors.New("functions are numbers")
	}
	return append([]int{}, ids...), nil
}
