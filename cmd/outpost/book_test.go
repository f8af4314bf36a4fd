package main

import (
	"reflect"
	"testing"

	"outpost/internal/config"
)

// Every key of people, boxes and rules reaches the routes: none of their fields stays
// empty where every key says something.
func TestRouteOptionsAreWhole(t *testing.T) {
	cfg := &config.Config{}
	for _, v := range []any{&cfg.Office, &cfg.Users, &cfg.Folders, &cfg.Lists, &cfg.Servers, &cfg.Boxes, &cfg.Rules} {
		fill(reflect.ValueOf(v).Elem())
	}
	*cfg.Users[0].External = false // which makes him internal
	var empty func(name string, v reflect.Value)
	empty = func(name string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				v = v.Elem()
			}
		case reflect.Slice:
			if v.Len() > 0 {
				v = v.Index(0)
			}
		default:
		}
		if v.IsZero() {
			t.Errorf("%s stays empty", name)
		}
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				empty(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	empty("route.Options", reflect.ValueOf(routeOptions(cfg, cfg.Users)))
}

// fill gives every field a value that isn't zero, and every list one entry.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic("no value for " + v.Type().String())
	}
}
